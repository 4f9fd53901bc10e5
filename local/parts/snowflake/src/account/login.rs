//! Who may sign in, with which key and from where.

use std::net::{IpAddr, Ipv4Addr};

use super::{Account, Kind, Object};
use crate::{jwt::PublicKey, names::shown};

/// The properties of a user that hold its keys.
pub(super) const KEY_SLOTS: [&str; 2] = ["RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2"];

/// Where a user keeps when one of them was set, in milliseconds. It is no property, so no statement names it.
pub(super) fn set_at(slot: &str) -> String {
    format!("SET AT {slot}")
}

impl Account {
    /// The user of a LOGIN_NAME, which is the user's name unless another was set, and the keys in both slots.
    pub(crate) fn keys(&self, login: &str) -> Option<(String, Vec<PublicKey>)> {
        let user = self.user(login)?;
        let keys = KEY_SLOTS.iter().filter_map(|slot| PublicKey::read(user.text(slot)?).ok());
        Some((user.name().to_owned(), keys.collect()))
    }

    pub(crate) fn is_disabled(&self, user: &str) -> bool {
        self.object(Kind::of("USER"), &[user.to_owned()]).is_some_and(|user| user.is("DISABLED"))
    }

    /// Whether the network policy of the user, or else of the account, admits an address.
    pub(crate) fn admits_user(&self, login: &str, address: IpAddr) -> bool {
        let of_user = self.user(login).and_then(|user| user.text("NETWORK_POLICY"));
        let of_account = || self.object(Kind::of("ACCOUNT"), &[]).and_then(|account| account.text("NETWORK_POLICY"));
        of_user.or_else(of_account).is_none_or(|policy| self.admits(policy, address))
    }

    /// Whether a network policy admits an address: what is blocked is not let in, whatever is allowed.
    pub(crate) fn admits(&self, policy: &str, address: IpAddr) -> bool {
        let Some(policy) = self.of("NETWORK POLICY").find(|object| shown(&object.path) == policy) else { return true };
        let ranges = |lists: [&str; 2]| -> Vec<String> {
            let mut ranges = policy.list(lists[0]).to_vec();
            for name in policy.list(lists[1]) {
                let is_it = |rule: &&Object| shown(&rule.path) == *name && rule.text("TYPE") == Some("IPV4");
                ranges.extend(self.of("NETWORK RULE").filter(is_it).flat_map(|rule| rule.list("VALUE_LIST").to_vec()));
            }
            ranges
        };
        let has = |ranges: &[String]| {
            ranges.iter().filter_map(|text| range(text)).any(|(from, bits)| match address {
                IpAddr::V4(address) => (u32::from(address) ^ u32::from(from)).checked_shr(32 - bits).unwrap_or(0) == 0,
                IpAddr::V6(_) => false,
            })
        };
        let allowed = ranges(["ALLOWED_IP_LIST", "ALLOWED_NETWORK_RULE_LIST"]);
        let blocked = ranges(["BLOCKED_IP_LIST", "BLOCKED_NETWORK_RULE_LIST"]);
        !has(&blocked) && (allowed.is_empty() || has(&allowed))
    }

    fn user(&self, login: &str) -> Option<&Object> {
        self.of("USER").find(|user| user.text("LOGIN_NAME").unwrap_or(user.name()) == login)
    }
}

/// An IPv4 address and how many of its bits count.
pub(super) fn range(text: &str) -> Option<(Ipv4Addr, u32)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    Some((address.parse().ok()?, bits.parse().ok().filter(|bits| *bits <= 32)?))
}
