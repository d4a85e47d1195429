//! Timeline: the possible states of a thing, now and after each turn, as far as a crash may go back.
//!
//! A crash takes a virtual host back to its state after *some* turn, no earlier than promised. So each thing then has
//! *alternatives*, each with the turns for which it holds, its *span*. Every later observation narrows the span of the
//! whole virtual host, and with it the alternatives of all other things.

/// Number of a turn of the server, counted through all restarts.
pub type Turn = u32;

/// A range of turns, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Turn,
    pub to: Turn,
}

impl Span {
    pub const ANY: Self = Self { from: 0, to: Turn::MAX };

    pub fn meet(self, other: Self) -> Option<Self> {
        let met = Self { from: self.from.max(other.from), to: self.to.min(other.to) };
        (met.from <= met.to).then_some(met)
    }

    /// Returns the range from the beginning of the first to the end of the last.
    fn hull(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.max(other.to) }
    }

    fn touches(self, other: Self) -> bool {
        self.from <= other.to.saturating_add(1) && other.from <= self.to.saturating_add(1)
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Alternative<S> {
    state: S,
    span: Span,
}

/// The alternatives since each turn in which they changed. There is always at least one turn, and one alternative.
#[derive(Clone, Debug)]
pub struct Timeline<S>(Vec<(Turn, Vec<Alternative<S>>)>);

impl<S: Clone + PartialEq> Timeline<S> {
    pub fn new(state: S) -> Self {
        Self(vec![(0, vec![Alternative { state, span: Span::ANY }])])
    }

    fn now(&self) -> &[Alternative<S>] {
        &self.0.last().expect("a timeline has a beginning").1
    }

    pub fn states(&self) -> impl Iterator<Item = &S> {
        self.now().iter().map(|alternative| &alternative.state)
    }

    pub fn may_be(&self, is_meant: impl Fn(&S) -> bool) -> bool {
        self.states().any(is_meant)
    }

    pub fn must_be(&self, is_meant: impl Fn(&S) -> bool) -> bool {
        self.states().all(is_meant)
    }

    /// Whether there is only one possible state.
    pub fn is_clear(&self) -> bool {
        let first = self.states().next();
        self.must_be(|state| Some(state) == first)
    }

    /// Whether the state is certain and no crash can change it any more.
    pub fn is_settled(&self, is_meant: impl Fn(&S) -> bool) -> bool {
        self.0.len() == 1 && self.must_be(is_meant)
    }

    pub fn set(&mut self, turn: Turn, state: S) {
        self.change(turn, |_| vec![state.clone()]);
    }

    /// In this turn each possible state was replaced by those that `next` returns.
    pub fn change(&mut self, turn: Turn, mut next: impl FnMut(&S) -> Vec<S>) {
        let mut changed = Vec::new();
        for Alternative { state, span } in self.now() {
            next(state).into_iter().for_each(|state| add(&mut changed, state, *span));
        }
        if changed == self.now() {
            return;
        }
        match self.0.last_mut() {
            Some((since, alternatives)) if *since == turn => *alternatives = changed,
            _ => self.0.push((turn, changed)),
        }
    }

    /// The state is observed; returns the span that fits it, if any.
    pub fn observe(&mut self, is_seen: impl Fn(&S) -> bool) -> Option<Span> {
        let alternatives = &mut self.0.last_mut().expect("a timeline has a beginning").1;
        if !alternatives.iter().any(|alternative| is_seen(&alternative.state)) {
            return None;
        }
        alternatives.retain(|alternative| is_seen(&alternative.state));
        alternatives.iter().map(|alternative| alternative.span).reduce(Span::hull)
    }

    /// The last crash went back to a turn in this span; returns whether that is possible.
    pub fn narrow(&mut self, span: Span) -> bool {
        for (_, alternatives) in &mut self.0 {
            alternatives.retain(|alternative| alternative.span.meet(span).is_some());
        }
        !self.now().is_empty()
    }

    /// Forgets states before this turn: no crash goes back to them.
    pub fn forget_before(&mut self, turn: Turn) {
        let first = self.0.iter().rposition(|(since, _)| *since <= turn).unwrap_or(0);
        self.0.drain(..first);
    }

    /// A crash goes back to a turn in this span; `survive` returns the part of a state that survives.
    pub fn crash(&mut self, span: Span, survive: impl Fn(&S) -> S) {
        let mut survived = Vec::new();
        for (place, (since, alternatives)) in self.0.iter().enumerate() {
            let until = self.0.get(place + 1).map_or(Turn::MAX, |(next, _)| next - 1);
            // The first state has always held.
            let from = if place == 0 { 0 } else { *since };
            let Some(span) = (Span { from, to: until }).meet(span) else { continue };
            alternatives.iter().for_each(|alternative| add(&mut survived, survive(&alternative.state), span));
        }
        self.0 = vec![(0, survived)];
    }
}

fn add<S: PartialEq>(alternatives: &mut Vec<Alternative<S>>, state: S, span: Span) {
    match alternatives.iter_mut().find(|known| known.state == state && known.span.touches(span)) {
        Some(known) => known.span = known.span.hull(span),
        None => alternatives.push(Alternative { state, span }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_crash(from: Turn, to: Turn) -> Timeline<char> {
        let mut timeline = Timeline::new('a');
        timeline.set(3, 'b');
        timeline.set(5, 'c');
        timeline.crash(Span { from, to }, |&state| state);
        timeline
    }

    #[test]
    fn a_crash_goes_back_no_further_than_promised() {
        let states = |from, to| after_crash(from, to).states().copied().collect::<String>();
        assert_eq!([states(0, 2), states(0, 4), states(3, 9), states(5, 9)], ["a", "ab", "bc", "c"]);
    }

    #[test]
    fn an_observation_of_one_thing_narrows_others() {
        let (mut seen, mut other) = (after_crash(0, 9), after_crash(0, 9));
        let span = seen.observe(|&state| state == 'b').unwrap();
        assert_eq!(span, Span { from: 3, to: 4 });
        assert!(other.narrow(span));
        assert!(other.must_be(|&state| state == 'b'));
        assert!(!other.narrow(Span { from: 5, to: 9 }));
        assert_eq!(seen.observe(|&state| state == 'a'), None);
    }

    #[test]
    fn a_change_after_a_crash_has_the_same_span() {
        let mut timeline = after_crash(0, 9);
        timeline.change(10, |&state| if state == 'c' { vec!['d'] } else { vec![state] });
        assert_eq!(timeline.observe(|&state| state == 'd'), Some(Span { from: 5, to: 9 }));
    }
}
