//! What an account has and no file may say: a network of all addresses, a kind of user that goes away, a stage without an
//! integration. It becomes a comment; so does what names it, and nothing of it is planned.

use sluice_core::Sources;

use crate::account::file::{Settings, problems};

/// Turns into comments what the loader refuses, until it refuses nothing that can be left out.
pub(super) fn left_out(text: String, settings: &Settings, sources: &Sources) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    loop {
        let found = problems(&joined(&lines), settings, sources);
        let before = lines.clone();
        for (line, problem) in &found {
            leave_out(&mut lines, line - 1, problem);
        }
        if lines == before {
            // What is left is about the file as a whole.
            let told: String = found.iter().map(|(_, problem)| format!("# {}\n", one_line(problem))).collect();
            return told + &joined(&lines);
        }
    }
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A role or a grant by itself; of anything else the whole entry, because half of one would say something else.
fn leave_out(lines: &mut [String], at: usize, problem: &str) {
    if depth(&lines[at]) == Some(6) {
        comment(&mut lines[at], problem);
        let header = (0..at).rev().find(|line| depth(&lines[*line]) == Some(4)).unwrap_or(at);
        let mut items =
            lines[header + 1..].iter().map(|line| depth(line)).take_while(|depth| !matches!(depth, Some(..6)));
        if items.all(|depth| depth.is_none()) {
            comment(&mut lines[header], "");
        }
        return;
    }
    let Some(entry) = (0..=at).rev().find(|line| depth(&lines[*line]) == Some(2)) else { return };
    let inside = lines[entry + 1..].iter().take_while(|line| !matches!(depth(line), Some(..=2))).count();
    comment(&mut lines[entry], problem);
    for line in &mut lines[entry + 1..=entry + inside] {
        comment(line, "");
    }
}

/// How far a line is indented; a comment is not there.
fn depth(line: &str) -> Option<usize> {
    (!line.starts_with('#')).then(|| line.len() - line.trim_start().len())
}

fn comment(line: &mut String, problem: &str) {
    if !line.starts_with('#') {
        let reason = if problem.is_empty() { String::new() } else { format!("  # {}", one_line(problem)) };
        *line = format!("#{line}{reason}");
    }
}

/// A name may hold a line's end, and what follows it would be no comment.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'), " ")
}
