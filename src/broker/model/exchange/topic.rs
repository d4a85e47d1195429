//! Topic: finds the bindings whose pattern matches a routing key.
//!
//! Patterns are words split by `.`; `*` stands for one word and `#` for any number of them. They share a trie:
//!
//! ```text
//!            root
//!           /    \
//!       orders    #        patterns  orders.*  orders.#.failed  #
//!       /    \
//!      *      #
//!              \
//!             failed
//! ```
//!
//! Matching follows all paths at once, word by word, as a set of nodes. So its cost is at most the number of nodes that
//! the key reaches times its words, whatever the patterns, and bindings that do not match cost nothing.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::destinations::{Destination, Destinations};
use super::hashing::Chance;

/// The patterns of a topic exchange.
#[derive(Debug)]
pub(crate) struct Topic {
    /// The first is the root.
    nodes: Vec<Node>,
    /// Empty nodes that can be used again.
    free: Vec<usize>,
}

const ROOT: usize = 0;

#[derive(Debug, Default)]
struct Node {
    words: HashMap<Box<str>, usize, FixedState>,
    star: Option<usize>,
    hash: Option<usize>,
    /// Reached by `#`: it accepts any further word and remains in the set.
    is_hash: bool,
    destinations: Destinations,
}

/// Buffers that are reused for routing: the sets of nodes during a match, and random numbers.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    here: Vec<usize>,
    next: Vec<usize>,
    pub(super) chance: Chance,
}

impl Topic {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, pattern: &str, destination: Destination) {
        let mut node = ROOT;
        for word in words(pattern) {
            node = self.child(node, word).unwrap_or_else(|| self.grow(node, word));
        }
        self.nodes[node].destinations.insert(destination, ());
    }

    pub(crate) fn remove(&mut self, pattern: &str, destination: &Destination) {
        let mut path = vec![ROOT];
        for word in words(pattern) {
            let Some(child) = self.child(path[path.len() - 1], word) else { return };
            path.push(child);
        }
        self.nodes[path[path.len() - 1]].destinations.remove(destination, &());
        self.prune(&path, pattern);
    }

    /// Calls `found` with the destinations of each matching pattern.
    pub(crate) fn route<'a>(&'a self, routing_key: &str, walk: &mut Walk, found: &mut dyn FnMut(&'a Destination)) {
        let Walk { here, next, .. } = walk;
        here.clear();
        self.enter(ROOT, here);
        for word in words(routing_key) {
            next.clear();
            for &node in here.iter() {
                self.step(node, word, next);
            }
            std::mem::swap(here, next);
        }
        here.iter().flat_map(|&node| self.nodes[node].destinations.iter()).for_each(|(to, ())| found(to));
    }

    fn step(&self, node: usize, word: &str, reached: &mut Vec<usize>) {
        let Node { words, star, is_hash, .. } = &self.nodes[node];
        if *is_hash {
            reach(node, reached);
        }
        for child in words.get(word).into_iter().chain(star) {
            self.enter(*child, reached);
        }
        // A node's `#` child is entered together with the node, as `#` also matches no word at all.
    }

    fn enter(&self, node: usize, reached: &mut Vec<usize>) {
        let mut entered = Some(node);
        while let Some(node) = entered {
            reach(node, reached);
            entered = self.nodes[node].hash;
        }
    }

    fn child(&self, node: usize, word: &str) -> Option<usize> {
        let node = &self.nodes[node];
        match word {
            "*" => node.star,
            "#" => node.hash,
            word => node.words.get(word).copied(),
        }
    }

    fn grow(&mut self, node: usize, word: &str) -> usize {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            self.nodes.len() - 1
        });
        self.nodes[child].is_hash = word == "#";
        let node = &mut self.nodes[node];
        match word {
            "*" => node.star = Some(child),
            "#" => node.hash = Some(child),
            word => {
                node.words.insert(word.into(), child);
            }
        }
        child
    }

    /// Removes nodes that no pattern needs any more, from the end of a path upwards.
    fn prune(&mut self, path: &[usize], pattern: &str) {
        let words: Vec<&str> = words(pattern).collect();
        for depth in (1..path.len()).rev() {
            if !self.nodes[path[depth]].is_unused() {
                return;
            }
            self.free.push(path[depth]);
            let parent = &mut self.nodes[path[depth - 1]];
            match words[depth - 1] {
                "*" => parent.star = None,
                "#" => parent.hash = None,
                word => {
                    parent.words.remove(word);
                }
            }
        }
    }
}

/// Adds a node to a sorted set.
fn reach(node: usize, reached: &mut Vec<usize>) {
    if let Err(place) = reached.binary_search(&node) {
        reached.insert(place, node);
    }
}

impl Node {
    fn is_unused(&self) -> bool {
        self.destinations.is_empty() && self.words.is_empty() && self.star.is_none() && self.hash.is_none()
    }
}

/// Returns the words of a key or a pattern; the empty one has none.
fn words(key: &str) -> impl Iterator<Item = &str> {
    key.split('.').filter(move |_| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::QueueId;

    fn topic(patterns: &[&str]) -> Topic {
        let mut topic = Topic::new();
        for (index, pattern) in patterns.iter().enumerate() {
            topic.insert(pattern, Destination::Queue(QueueId::from_index(index as u64)));
        }
        topic
    }

    fn matches(pattern: &str, key: &str) -> bool {
        let mut count = 0;
        topic(&[pattern]).route(key, &mut Walk::default(), &mut |_| count += 1);
        assert!(count <= 1, "{pattern} matched {key} {count} times");
        count == 1
    }

    #[test]
    fn patterns_match_as_amqp_says() {
        for (pattern, key, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*", "", false),
            ("*", ".", false),
            ("*.*", ".", true),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("#.c", "a.b.c", true),
            ("#.c", "c", true),
            ("#.b", "a.b.c", false),
            ("a.#.c", "a.c", true),
            ("a.#.c", "a.x.y.c", true),
            ("#.#", "a", true),
            ("#.*.#", "", false),
            ("#.*.#", "a", true),
            ("*.#.*", "a", false),
            ("*.#.*", "a.b", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, key), expected, "pattern {pattern:?}, key {key:?}");
        }
    }

    #[test]
    fn removing_the_last_binding_leaves_nothing_behind() {
        let patterns = ["a.b.c", "a.*", "a.#.c", "#", ""];
        let mut topic = topic(&patterns);
        for (index, pattern) in patterns.iter().enumerate() {
            topic.remove(pattern, &Destination::Queue(QueueId::from_index(index as u64)));
        }
        assert_eq!(topic.free.len(), topic.nodes.len() - 1);
        topic.insert("x.y", Destination::Queue(QueueId::from_index(9)));
        assert_eq!(topic.free.len(), topic.nodes.len() - 3);
    }

    #[test]
    fn many_hashes_and_a_long_key_stay_cheap() {
        let pattern = "#.a.".repeat(30) + "#.b";
        let key = ["a"; 100].join(".");
        assert!(!matches(&pattern, &key));
    }
}
