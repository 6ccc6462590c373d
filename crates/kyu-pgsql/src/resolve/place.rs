//! The places at which the conditions of a query are asked: as early as their columns are there,
//! and equalities between two sources by hashing instead of trying all pairs.
//!
//! A conjunct of WHERE goes, in this order,
//! - into a derived table, whose select list is then evaluated for fewer rows;
//! - to the one source that it is about;
//! - to the join of the two sources that it says are equal;
//! - behind the last item of FROM that it needs.
//!
//! Conjuncts with effects (calls of the queues) or sub-selects stay where they were: they are asked
//! of whole rows.

use std::sync::Arc;

use crate::builtins;
use crate::parser::ast::JoinKind;
use crate::plan::walk::{bare_column, rewrite, same_form, walk};
use crate::plan::{
    BodyPlan, Comparison, DistinctPlan, FromItem, Join, JoinKey, Leaf, LeafBound, LeafKind, Node,
    Plan, SelectPlan, Source, Typed,
};
use crate::types::Type;
use crate::types::value::Value;

/// Functions whose value differs from call to call: what reads them is asked as often as it says.
const VOLATILE: &[&str] = &["random", "clock_timestamp", "timeofday", "gen_random_uuid", "setval"];

/// The columns of one query that an expression reads.
#[derive(Clone, Copy, Debug)]
struct Reach {
    /// The first, and one behind the last; None if it reads none.
    range: Option<(usize, usize)>,
    /// It calls the queues, asks a sub-select, or is not the same each time.
    bound: bool,
}

impl Reach {
    fn of(typed: &Typed, depth: usize) -> Self {
        let mut reach = Self { range: None, bound: false };
        walk(typed, &mut |node| match node {
            Node::Column { depth: at, index } if *at == depth => {
                let (low, high) = reach.range.unwrap_or((*index, index + 1));
                reach.range = Some((low.min(*index), high.max(index + 1)));
            }
            Node::Call { .. } | Node::Query { .. } => reach.bound = true,
            Node::Builtin { index, .. } => {
                let builtin = builtins::all().get(*index);
                reach.bound |= builtin.is_none_or(|builtin| VOLATILE.contains(&builtin.name));
            }
            _ => {}
        });
        reach
    }

    /// It reads columns, all of them between these two.
    fn within(self, low: usize, high: usize) -> bool {
        self.range.is_some_and(|(first, end)| low <= first && end <= high)
    }

    /// It reads nothing from this column on.
    fn before(self, column: usize) -> bool {
        self.range.is_none_or(|(_, end)| end <= column)
    }
}

/// Gives a conjunct of WHERE its place. `depth` is that of the query's own columns.
pub(crate) fn conjunct(select: &mut SelectPlan, depth: usize, typed: Typed) {
    select.filtered = true;
    let reach = Reach::of(&typed, depth);
    let Some((first, end)) = reach.range.filter(|_| !reach.bound) else {
        select.filters.push(typed);
        return;
    };
    let Some(item) = select.from.iter_mut().find(|item| end <= item.source.end()) else {
        select.filters.push(typed);
        return;
    };
    let start = item.source.offset();
    let left = if first >= start {
        into_source(&mut item.source, depth, typed)
    } else {
        match equality(&typed, depth, start, item.source.end()) {
            Some(key) => {
                item.keys.push(key);
                None
            }
            None => Some(typed),
        }
    };
    item.filters.extend(left);
}

/// Gives the conjuncts of a join's condition their places.
pub(crate) fn condition(join: &mut Join, depth: usize, typed: Typed) {
    for part in conjuncts(typed) {
        let reach = Reach::of(&part, depth);
        let (start, end) = (join.right.offset(), join.right.end());
        let right_only = reach.within(start, end) && !reach.bound;
        let to_right = matches!(join.kind, JoinKind::Inner | JoinKind::Left);
        let left = if right_only && to_right {
            into_source(&mut join.right, depth, part)
        } else if let Some(key) = equality(&part, depth, start, end).filter(|_| !reach.bound) {
            join.keys.push(key);
            None
        } else {
            Some(part)
        };
        join.on.extend(left);
    }
}

/// AND taken apart.
pub(crate) fn conjuncts(typed: Typed) -> Vec<Typed> {
    match typed.node {
        Node::And(parts) => parts.into_iter().flat_map(conjuncts).collect(),
        _ => vec![typed],
    }
}

/// Gives a condition to the source that all its columns are of; gives it back if it must wait for
/// the joined row.
fn into_source(source: &mut Source, depth: usize, typed: Typed) -> Option<Typed> {
    match source {
        Source::Leaf(leaf) => into_leaf(leaf, depth, typed),
        Source::Join(join) => into_join(join, depth, typed),
    }
}

fn into_join(join: &mut Join, depth: usize, typed: Typed) -> Option<Typed> {
    let reach = Reach::of(&typed, depth);
    // A side that an outer join fills up with NULLs is not asked before it is filled up.
    let (left_stays, right_stays) = match join.kind {
        JoinKind::Inner => (true, true),
        JoinKind::Left => (true, false),
        JoinKind::Right => (false, true),
        JoinKind::Full => (false, false),
    };
    let (middle, end) = (join.right.offset(), join.right.end());
    if reach.within(middle, end) {
        return if right_stays { into_source(&mut join.right, depth, typed) } else { Some(typed) };
    }
    if reach.before(middle) {
        return if left_stays { into_source(&mut join.left, depth, typed) } else { Some(typed) };
    }
    if join.kind != JoinKind::Inner {
        return Some(typed);
    }
    match equality(&typed, depth, middle, end) {
        Some(key) => join.keys.push(key),
        None => join.on.push(typed),
    }
    None
}

fn into_leaf(leaf: &mut Leaf, depth: usize, typed: Typed) -> Option<Typed> {
    if let LeafKind::Query(plan) = &mut leaf.kind
        && let Some(typed) = inside(plan, depth, leaf.offset, &typed)
    {
        let plan = Arc::make_mut(plan);
        if let BodyPlan::Select(select) = &mut plan.body {
            conjunct(select, plan.depth, typed);
            return None;
        }
    }
    let mut typed = typed;
    shift(&mut typed, depth, leaf.offset);
    if matches!(leaf.kind, LeafKind::Catalog(_)) {
        leaf.bounds.extend(bound(&typed, depth));
    }
    leaf.filters.push(typed);
    None
}

/// The condition on a derived table as one on what it is made of, if asking it there is the same.
fn inside(plan: &Plan, depth: usize, offset: usize, typed: &Typed) -> Option<Typed> {
    let BodyPlan::Select(select) = &plan.body else { return None };
    let plain = plan.limit.is_none()
        && plan.offset.is_none()
        && select.grouping.is_none()
        && select.sets.is_empty()
        && select.windows.is_empty()
        && matches!(select.distinct, DistinctPlan::No);
    if !plain {
        return None;
    }
    let mut typed = typed.clone();
    let mut possible = true;
    rewrite(&mut typed, &mut |node| {
        if let Node::Column { depth: at, index } = node
            && *at == depth
        {
            let item = index.checked_sub(offset).and_then(|at| select.items.get(at));
            match item.filter(|item| !Reach::of(item, plan.depth).bound) {
                Some(item) => *node = item.node.clone(),
                None => possible = false,
            }
            // What was put in speaks of the inner query.
            return false;
        }
        true
    });
    possible.then_some(typed)
}

/// `left = right` with one side of the rows so far, and one of the source between these columns.
fn equality(typed: &Typed, depth: usize, start: usize, end: usize) -> Option<JoinKey> {
    let Node::Compare(Comparison::Equal, a, b) = &typed.node else { return None };
    let (first, second) = (Reach::of(a, depth), Reach::of(b, depth));
    if first.bound || second.bound {
        return None;
    }
    let (left, right) = if first.before(start) && second.within(start, end) {
        (a, b)
    } else if second.before(start) && first.within(start, end) {
        (b, a)
    } else {
        return None;
    };
    let mut right = (**right).clone();
    shift(&mut right, depth, start);
    Some(JoinKey { left: (**left).clone(), right })
}

/// The column of one leaf, and the value that a condition says it must equal.
fn bound(typed: &Typed, depth: usize) -> Option<LeafBound> {
    match &typed.node {
        Node::Compare(Comparison::Equal, a, b) => {
            let one = |column: &Typed, value: &Typed| {
                let column = bare_column(column, depth)?;
                let free = Reach::of(value, depth).range.is_none();
                free.then(|| LeafBound { column, value: value.clone() })
            };
            one(a, b).or_else(|| one(b, a))
        }
        Node::Builtin { index, arguments } => {
            let name = builtins::all().get(*index).map(|builtin| builtin.name)?;
            let [subject, pattern] = arguments.as_slice() else { return None };
            let Node::Value(Value::Text(pattern)) = &pattern.node else { return None };
            let only = match name {
                "~~" => only_of_like(pattern)?,
                "~" => only_of_regex(pattern)?,
                _ => return None,
            };
            let value = Typed::new(Node::Value(Value::Text(only)), Type::Text);
            Some(LeafBound { column: bare_column(subject, depth)?, value })
        }
        Node::Quantified { value, array, test, all: false } => {
            let equal = match &test.node {
                Node::Compare(Comparison::Equal, a, b) => [a, b].iter().all(|side| is_local(side)),
                _ => false,
            };
            let column = bare_column(value, depth).filter(|_| equal)?;
            let free = Reach::of(array, depth).range.is_none();
            free.then(|| LeafBound { column, value: (**array).clone() })
        }
        _ => None,
    }
}

/// The only text that a pattern of LIKE matches, if there is one: JDBC escapes `_` in names.
fn only_of_like(pattern: &str) -> Option<String> {
    let mut only = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        only.push(match character {
            '%' | '_' => return None,
            '\\' => characters.next()?,
            other => other,
        });
    }
    Some(only)
}

/// The same of a regular expression: psql asks for `^(name)$`.
fn only_of_regex(pattern: &str) -> Option<String> {
    let inner = pattern.strip_prefix("^(")?.strip_suffix(")$")?;
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    inner.chars().all(plain).then(|| inner.to_owned())
}

fn is_local(typed: &Typed) -> bool {
    match &typed.node {
        Node::Local(_) => true,
        Node::Cast(inner) => is_local(inner) && same_form(inner.ty, typed.ty),
        _ => false,
    }
}

/// Lets the side of a join come first whose rows are looked up: the other's are then looked up by
/// what it found. Both are of the catalogue, and only the order of rows changes.
pub(crate) fn reorder(item: &mut FromItem, depth: usize) {
    let Source::Join(join) = &mut item.source else { return };
    reorder_join(join, depth);
}

fn reorder_join(join: &mut Join, depth: usize) {
    if let Source::Join(left) = &mut *join.left {
        reorder_join(left, depth);
    }
    let (Source::Leaf(left), Source::Leaf(right)) = (&*join.left, &*join.right) else { return };
    let catalog = |leaf: &Leaf| matches!(leaf.kind, LeafKind::Catalog(_));
    let better = catalog(left)
        && catalog(right)
        && left.bounds.is_empty()
        && !right.bounds.is_empty()
        && !join.keys.is_empty()
        && join.kind == JoinKind::Inner;
    if !better {
        return;
    }
    let (before, after) = (left.offset, right.offset);
    for key in &mut join.keys {
        let (mut left, mut right) = (key.right.clone(), key.left.clone());
        rewrite(&mut left, &mut |node| {
            if let Node::Column { depth: at, index } = node
                && *at == depth
            {
                *index += after;
            }
            true
        });
        shift(&mut right, depth, before);
        *key = JoinKey { left, right };
    }
    std::mem::swap(&mut join.left, &mut join.right);
}

/// Counts the columns of a query from another one on.
fn shift(typed: &mut Typed, depth: usize, offset: usize) {
    rewrite(typed, &mut |node| {
        if let Node::Column { depth: at, index } = node
            && *at == depth
        {
            *index = index.saturating_sub(offset);
        }
        true
    });
}
