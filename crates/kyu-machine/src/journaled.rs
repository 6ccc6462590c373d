//! State that takes its changes back. An atomic group is decided by trying its commands out, one on
//! top of the other, and taking all of it back; whatever a command may change must therefore be able
//! to return to what it was. The types here do that by themselves: there is no way to change them
//! that they do not notice, so no command can forget a step.
//!
//! Outside of a trial a change costs one comparison more than on the bare type. In a trial the first
//! change of a value or of an entry keeps the old one; further changes of it cost nothing.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

/// State that can return to what it was when a trial began.
///
/// A type that is made of several such pieces passes the calls on to each, with [`each_part`].
///
/// [`each_part`]: crate::each_part
pub trait Trial {
    /// Begins a trial. No other may be going on.
    fn begin_trial(&mut self);

    /// Takes back every change since [`Trial::begin_trial`] and ends the trial; does nothing if none
    /// has begun.
    fn roll_back(&mut self);
}

/// Calls a closure with each journaled part of a state, in the order given. Fields whose changes are
/// taken back otherwise, or not at all, stand aside. The state is taken apart without `..`: a new
/// field does not compile before somebody has decided how it returns.
#[macro_export]
macro_rules! each_part {
    (
        $state:expr,
        $call:ident,
        journaled { $($part:ident,)+ } aside { $($aside:ident,)* }
    ) => {
        let Self { $($part,)+ $($aside: _,)* } = $state;
        $($call($part);)+
    };
}

/// A value that returns to what it was. Meant for small ones: the first change in a trial clones it.
/// It is not `Clone` itself, because a copy would take its journal along.
#[derive(Debug, Default)]
pub struct Journaled<T> {
    now: T,
    before: Before<T>,
}

#[derive(Debug, Default)]
enum Before<T> {
    #[default]
    NoTrial,
    /// The value has not changed in this trial.
    Same,
    Was(T),
}

impl<T> Journaled<T> {
    /// A value outside of any trial.
    pub fn new(value: T) -> Self {
        Self { now: value, before: Before::NoTrial }
    }
}

impl<T> Deref for Journaled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.now
    }
}

impl<T: Clone> DerefMut for Journaled<T> {
    /// The value to be changed; the old one is kept if this is the first change of a trial.
    fn deref_mut(&mut self) -> &mut T {
        if matches!(self.before, Before::Same) {
            self.before = Before::Was(self.now.clone());
        }
        &mut self.now
    }
}

impl<T: Clone> Trial for Journaled<T> {
    fn begin_trial(&mut self) {
        self.before = Before::Same;
    }

    fn roll_back(&mut self) {
        if let Before::Was(value) = std::mem::take(&mut self.before) {
            self.now = value;
        }
    }
}

/// Entries by key that can replace one another. Whatever else an implementation keeps (counts, an
/// order) must follow from its entries alone, not from the order in which they came.
pub trait Replace {
    /// The key of an entry, as it is looked up by.
    type Key: ?Sized + Ord + ToOwned<Owned: Ord>;
    /// An entry.
    type Entry: Clone;

    /// Puts an entry in place of the one of its key, or removes that, and returns it.
    fn replace(&mut self, key: &Self::Key, new: Option<Self::Entry>) -> Option<Self::Entry>;
}

impl<K: Ord + Clone, V: Clone> Replace for BTreeMap<K, V> {
    type Key = K;
    type Entry = V;

    fn replace(&mut self, key: &K, new: Option<V>) -> Option<V> {
        match new {
            Some(entry) => self.insert(key.clone(), entry),
            None => self.remove(key),
        }
    }
}

impl<K: Ord + Clone> Replace for BTreeSet<K> {
    type Key = K;
    type Entry = ();

    fn replace(&mut self, key: &K, new: Option<()>) -> Option<()> {
        let was_there = match new {
            Some(()) => !self.insert(key.clone()),
            None => self.remove(key),
        };
        was_there.then_some(())
    }
}

type OwnedKey<M> = <<M as Replace>::Key as ToOwned>::Owned;

/// A map whose entries return to what they were.
pub struct JournaledMap<M: Replace> {
    now: M,
    before: Option<Entries<M>>,
}

struct Entries<M: Replace> {
    /// The whole map, where all of it was changed at once; later changes need no note then.
    whole: Option<M>,
    /// Entries as they were before the trial, or before that.
    changed: BTreeMap<OwnedKey<M>, Option<M::Entry>>,
}

impl<M: Replace> JournaledMap<M> {
    /// A map outside of any trial.
    pub fn new(map: M) -> Self {
        Self { now: map, before: None }
    }

    /// Puts an entry in place of the one of its key, or removes that, and returns it.
    pub fn replace(&mut self, key: &M::Key, new: Option<M::Entry>) -> Option<M::Entry> {
        let old = self.now.replace(key, new);
        if let Some(before) = &mut self.before
            && before.whole.is_none()
            && !before.changed.contains_key(key)
        {
            before.changed.insert(key.to_owned(), old.clone());
        }
        old
    }

    /// Puts an entry there and returns the one before.
    pub fn insert(&mut self, key: &M::Key, new: M::Entry) -> Option<M::Entry> {
        self.replace(key, Some(new))
    }

    /// Removes an entry and returns it.
    pub fn remove(&mut self, key: &M::Key) -> Option<M::Entry> {
        self.replace(key, None)
    }
}

impl<M: Replace + Clone> JournaledMap<M> {
    /// The map to be changed as a whole. In a trial it is cloned: not for what happens often in one.
    pub fn all_mut(&mut self) -> &mut M {
        if let Some(before) = &mut self.before
            && before.whole.is_none()
        {
            before.whole = Some(self.now.clone());
        }
        &mut self.now
    }
}

impl<M: Replace + Default> Default for JournaledMap<M> {
    fn default() -> Self {
        Self::new(M::default())
    }
}

impl<M: Replace> Deref for JournaledMap<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.now
    }
}

impl<M: Replace> Trial for JournaledMap<M> {
    fn begin_trial(&mut self) {
        self.before = Some(Entries { whole: None, changed: BTreeMap::new() });
    }

    fn roll_back(&mut self) {
        let Some(Entries { whole, changed }) = self.before.take() else { return };
        if let Some(whole) = whole {
            self.now = whole;
        }
        // All are removed first, so that no entry meets what took its place in the meantime.
        for key in changed.keys() {
            self.now.replace(key.borrow(), None);
        }
        for (key, entry) in changed {
            self.now.replace(key.borrow(), entry);
        }
    }
}

/// A map of large entries, each of which takes its own changes back. A trial costs as much as the
/// entries that it touches, however many there are.
pub struct JournaledMembers<K, V> {
    now: BTreeMap<K, V>,
    trial: Option<Steps<K, V>>,
}

/// The changes that a trial has made, for taking them back.
struct Steps<K, V> {
    in_order: Vec<Step<K, V>>,
    /// Members that began a trial of their own, or whose successors need none.
    touched: BTreeSet<K>,
}

enum Step<K, V> {
    Touched(K),
    Came(K),
    Went(K, V),
}

impl<K, V> Default for JournaledMembers<K, V> {
    fn default() -> Self {
        Self { now: BTreeMap::new(), trial: None }
    }
}

impl<K, V> Deref for JournaledMembers<K, V> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &BTreeMap<K, V> {
        &self.now
    }
}

impl<K: Ord + Clone, V: Trial> JournaledMembers<K, V> {
    /// Puts a member there, in place of another if there is one.
    pub fn insert(&mut self, key: K, member: V) {
        let old = self.now.insert(key.clone(), member);
        if let Some(trial) = &mut self.trial {
            trial.in_order.extend(old.map(|old| Step::Went(key.clone(), old)));
            trial.in_order.push(Step::Came(key));
        }
    }

    /// Removes a member; whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        let old = self.now.remove(key);
        let was_there = old.is_some();
        if let (Some(trial), Some(old)) = (&mut self.trial, old) {
            trial.in_order.push(Step::Went(key.clone(), old));
        }
        was_there
    }

    /// A member to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let member = self.now.get_mut(key)?;
        if let Some(trial) = &mut self.trial
            && !trial.touched.contains(key)
        {
            trial.touched.insert(key.clone());
            trial.in_order.push(Step::Touched(key.clone()));
            member.begin_trial();
        }
        Some(member)
    }
}

impl<K: Ord + Clone, V: Trial> Trial for JournaledMembers<K, V> {
    fn begin_trial(&mut self) {
        self.trial = Some(Steps { in_order: Vec::new(), touched: BTreeSet::new() });
    }

    fn roll_back(&mut self) {
        let steps = self.trial.take().map(|trial| trial.in_order).unwrap_or_default();
        for step in steps.into_iter().rev() {
            match step {
                Step::Touched(key) => {
                    if let Some(member) = self.now.get_mut(&key) {
                        member.roll_back();
                    }
                }
                Step::Came(key) => {
                    self.now.remove(&key);
                }
                Step::Went(key, member) => {
                    self.now.insert(key, member);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Entries with an index that follows from them: who is at a place. Two entries may not share one.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Places {
        entries: BTreeMap<u8, u8>,
        by_place: BTreeMap<u8, u8>,
    }

    impl Replace for Places {
        type Key = u8;
        type Entry = u8;

        fn replace(&mut self, key: &u8, new: Option<u8>) -> Option<u8> {
            let old = self.entries.replace(key, new);
            old.map(|place| self.by_place.remove(&place));
            new.map(|place| self.by_place.insert(place, *key));
            old
        }
    }

    impl Trial for Member {
        fn begin_trial(&mut self) {
            let Self { count, places } = self;
            count.begin_trial();
            places.begin_trial();
        }

        fn roll_back(&mut self) {
            let Self { count, places } = self;
            count.roll_back();
            places.roll_back();
        }
    }

    #[derive(Default)]
    struct Member {
        count: Journaled<u32>,
        places: JournaledMap<Places>,
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Come(u8),
        Go(u8),
        Count(u8),
        Place(u8, u8, Option<u8>),
        Clear(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let member = 0..3u8;
        prop_oneof![
            member.clone().prop_map(Step::Come),
            member.clone().prop_map(Step::Go),
            member.clone().prop_map(Step::Count),
            (member.clone(), 0..5u8, prop::option::of(0..5u8))
                .prop_map(|(member, key, place)| Step::Place(member, key, place)),
            member.prop_map(Step::Clear),
        ]
    }

    fn take(members: &mut JournaledMembers<u8, Member>, step: Step) {
        match step {
            Step::Come(id) => members.insert(id, Member::default()),
            Step::Go(id) => drop(members.remove(&id)),
            Step::Count(id) => {
                if let Some(member) = members.get_mut(&id) {
                    *member.count += 1;
                }
            }
            Step::Place(id, key, place) => {
                let Some(member) = members.get_mut(&id) else { return };
                if place.is_none_or(|place| !member.places.by_place.contains_key(&place)) {
                    member.places.replace(&key, place);
                }
            }
            Step::Clear(id) => {
                if let Some(member) = members.get_mut(&id) {
                    *member.places.all_mut() = Places::default();
                }
            }
        }
    }

    fn seen(members: &JournaledMembers<u8, Member>) -> Vec<(u8, u32, Places)> {
        let all = members.iter();
        all.map(|(id, member)| (*id, *member.count, (*member.places).clone())).collect()
    }

    proptest! {
        #[test]
        fn a_roll_back_leaves_everything_as_it_was_and_the_next_one_too(
            before in prop::collection::vec(step(), 0..20),
            trials in prop::collection::vec(prop::collection::vec(step(), 0..20), 1..4),
        ) {
            let mut members = JournaledMembers::default();
            before.into_iter().for_each(|step| take(&mut members, step));
            let was = seen(&members);
            for trial in trials {
                members.begin_trial();
                trial.into_iter().for_each(|step| take(&mut members, step));
                members.roll_back();
                prop_assert_eq!(seen(&members), was.clone());
            }
        }
    }

    #[test]
    fn without_a_trial_nothing_is_kept_and_a_roll_back_changes_nothing() {
        let mut value = Journaled::new(1);
        *value = 2;
        value.roll_back();
        assert_eq!(*value, 2);
        let mut map = JournaledMap::<BTreeMap<u8, u8>>::default();
        map.insert(&1, 1);
        map.roll_back();
        assert_eq!(map.get(&1), Some(&1));
        assert!(map.before.is_none());
    }
}
