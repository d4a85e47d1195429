//! Imports: the modules that each module names, and circles of them.

use std::collections::BTreeSet;

use crate::tokens::{Token, path_names, tokens};

/// Modules by their paths from the crate's root, as in `broker/model/queue`.
pub struct Imports<'a> {
    modules: Vec<&'a str>,
    /// For each module, those that it names, each with the first line.
    named: Vec<Vec<(usize, usize)>>,
}

impl<'a> Imports<'a> {
    /// Reads the sources of these modules. Code for a module's own tests does not count.
    pub fn of(sources: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (modules, texts): (Vec<_>, Vec<_>) = sources.unzip();
        let named = modules.iter().zip(texts).map(|(module, text)| named_by(module, &tokens(text), &modules)).collect();
        Self { modules, named }
    }

    /// Returns all pairs of modules of which one names the other, with the first line.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, &'a str, usize)> {
        let all = self.modules.iter().zip(&self.named);
        all.flat_map(|(from, named)| named.iter().map(|&(to, line)| (*from, self.modules[to], line)))
    }

    /// Returns each set of modules that reach each other.
    pub fn circles(&self) -> BTreeSet<Vec<&'a str>> {
        let reached: Vec<_> = (0..self.modules.len()).map(|from| self.reached_from(from)).collect();
        let circle = |one: usize| {
            let is_in_it = |other: &usize| reached[one].contains(other) && reached[*other].contains(&one);
            (0..self.modules.len()).filter(is_in_it).map(|other| self.modules[other]).collect()
        };
        (0..self.modules.len()).map(circle).filter(|circle: &Vec<_>| circle.len() > 1).collect()
    }

    fn reached_from(&self, from: usize) -> BTreeSet<usize> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(at) = next.pop() {
            next.extend(self.named[at].iter().map(|&(to, _)| to).filter(|&to| reached.insert(to)));
        }
        reached
    }
}

fn named_by(module: &str, tokens: &[Token], modules: &[&str]) -> Vec<(usize, usize)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let is_test = |at: &usize| [text(*at), text(at + 1), text(at + 2)] == ["cfg", "(", "test"];
    let end = (0..tokens.len()).find(is_test).unwrap_or(tokens.len());
    let mut named: Vec<(usize, usize)> = Vec::new();
    for at in (1..end).filter(|&at| text(at + 1) == "::" && !["::", "in"].contains(&text(at - 1))) {
        let child = format!("{module}/{}", text(at));
        let start = match text(at) {
            "crate" => "",
            "self" => module,
            "super" => parent(module),
            _ if modules.contains(&&*child) => &child,
            _ => continue,
        };
        for path in paths(tokens, at + 1, start) {
            let is_named = |known: &&str| path == **known || path.starts_with(&format!("{known}/"));
            let found = (0..modules.len()).filter(|&to| is_named(&modules[to])).max_by_key(|&to| modules[to].len());
            if let Some(to) = found.filter(|to| modules[*to] != module && named.iter().all(|(known, _)| known != to)) {
                named.push((to, tokens[at].line));
            }
        }
    }
    named
}

/// Returns the paths that continue here from `start`: one, or those of a group.
fn paths(tokens: &[Token], at: usize, start: &str) -> Vec<String> {
    let names = path_names(tokens, at);
    if names.is_empty() {
        return vec![start.into()];
    }
    let go_on = |name: usize| match tokens[name].text.as_str() {
        "super" => paths(tokens, name + 1, parent(start)),
        "self" => vec![start.into()],
        text => paths(tokens, name + 1, format!("{start}/{text}").trim_start_matches('/')),
    };
    names.into_iter().flat_map(go_on).collect()
}

fn parent(module: &str) -> &str {
    module.rsplit_once('/').map_or("", |(parent, _)| parent)
}
