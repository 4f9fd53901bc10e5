//! DROP of what the account knows.

use super::{Account, Grantee, Kind, Object, Run, kinds::name_of, rules::attached};
use crate::{
    failure::Failure,
    names::{Name, identifier, shown},
    request::Request,
    result::ResultSet,
    tokens::Cursor,
};

impl Run<'_> {
    /// Everything that follows `DROP`; `None` if it is about a table.
    pub(super) fn drop_object(&mut self, mut cursor: Cursor<'_>) -> Result<Option<ResultSet>, Failure> {
        let Some(kind) = Kind::eat(&mut cursor, false).filter(|kind| kind.is_made_here()) else { return Ok(None) };
        let if_exists = cursor.eat("IF EXISTS");
        let path = name_of(kind, &mut cursor)?;
        let _ = cursor.eat("RESTRICT") || cursor.eat("CASCADE");
        cursor.end()?;
        let Some(old) = self.object(kind, &path).cloned() else {
            let text = format!("Drop statement executed successfully ({} already dropped).", shown(&path));
            return if if_exists { Ok(Some(ResultSet::done(text))) } else { self.existing(kind, &path).map(|_| None) };
        };
        self.require_owner(&old)?;
        refuse(self, kind, &path)?;
        erase(self.account, self.request, kind, &path)?;
        // What a dropped role has owned is the role's that dropped it.
        let dropped = Grantee { kind: old.kind.clone(), path: path.clone() };
        let owned = |object: &&Object| object.owner.as_ref() == Some(&dropped);
        for object in self.objects.values().filter(owned).cloned().collect::<Vec<_>>() {
            let owner = Some(Grantee::role(&self.access.role));
            self.put(Object { owner, ..object });
        }
        Ok(Some(ResultSet::done(format!("{} successfully dropped.", old.name()))))
    }
}

/// Refuses to drop what is attached, or what holds a network rule that a policy uses.
pub(super) fn refuse(account: &Account, kind: &Kind, path: &[String]) -> Result<(), Failure> {
    if let Some(user) = attached(account, kind, path).first() {
        let name = path.last().map_or("", String::as_str);
        let of = if user.path.is_empty() { account.name.clone() } else { shown(&user.path) };
        let text = if kind.words.starts_with("NETWORK") {
            let words = kind.words.to_lowercase();
            format!(
                "Cannot perform Drop operation on {words} {name}. The {} is attached to {} with name {of}. Unset the {words} \
                 from {} and try the Drop operation again.",
                words.rsplit(' ').next().unwrap_or_default(),
                user.kind,
                user.kind
            )
        } else {
            format!(
                "SQL compilation error:\nPolicy {name} cannot be dropped/replaced as it is associated with one or more entities."
            )
        };
        return Err(Failure::new("001492", "42601", text));
    }
    let holds_rules = kind.words == "DATABASE" || kind.words == "SCHEMA";
    let used = |rule: &&Object| {
        rule.path.starts_with(path) && !attached(account, Kind::of("NETWORK RULE"), &rule.path).is_empty()
    };
    if holds_rules && let Some(rule) = account.of("NETWORK RULE").find(used) {
        let code = if kind.words == "DATABASE" { "098507" } else { "098508" };
        let words = kind.words.to_lowercase();
        let text = format!("Cannot drop {words} because: network rule {} is used by a policy.", shown(&rule.path));
        return Err(Failure::new(code, "2BP01", text));
    }
    Ok(())
}

/// Takes the object away, and in DuckDB what stands for it.
pub(super) fn erase(account: &mut Account, request: &Request<'_>, kind: &Kind, path: &[String]) -> Result<(), Failure> {
    if kind.words == "DATABASE" || kind.words == "SCHEMA" {
        let schemas: Vec<_> = account.of("SCHEMA").filter(|schema| schema.path.starts_with(path)).collect();
        for schema in schemas {
            let name = identifier(&format!("{}__{}", schema.path[0], schema.path[1]));
            request.conn.execute_batch(&format!("DROP SCHEMA IF EXISTS {name} CASCADE"))?;
        }
    }
    let holds_pipes = ["DATABASE", "SCHEMA", "PIPE"].contains(&kind.words);
    for pipe in account.of("PIPE").filter(|pipe| holds_pipes && pipe.path.starts_with(path)) {
        let [database, schema, object] = &pipe.path[..] else { continue };
        let name = Name { database: database.clone(), schema: schema.clone(), object: object.clone() };
        request.shared.pipes.remove(&name);
    }
    let monitors =
        |object: &&Object| kind.words == "RESOURCE MONITOR" && object.text("RESOURCE_MONITOR") == Some(&shown(path));
    for mut object in account.objects.values().filter(monitors).cloned().collect::<Vec<_>>() {
        object.settings.remove("RESOURCE_MONITOR");
        account.put(object);
    }
    if kind.words == "TAG" {
        let key = format!("TAG {}", shown(path));
        let tagged: Vec<_> =
            account.objects.values().filter(|object| object.settings.contains_key(&key)).cloned().collect();
        for mut object in tagged {
            object.settings.remove(&key);
            account.put(object);
        }
    }
    account.remove(kind, path);
    Ok(())
}
