//! Walking over the expressions of a plan.

use super::{Node, QueryKind, Typed};
use crate::types::{Type, cast};

/// Calls `see` for every node.
pub(crate) fn walk(typed: &Typed, see: &mut dyn FnMut(&Node)) {
    see(&typed.node);
    children(&typed.node, &mut |child| walk(child, see));
}

/// Calls `change` for every node from the top; false keeps it from what is below.
pub(crate) fn rewrite(typed: &mut Typed, change: &mut dyn FnMut(&mut Node) -> bool) {
    if change(&mut typed.node) {
        children_mut(&mut typed.node, &mut |child| rewrite(child, change));
    }
}

/// Calls `$see` for the expressions directly below a node, read by `iter` or changed by `iter_mut`.
/// Sub-selects are not entered.
macro_rules! below {
    ($node:ident, $see:ident, $iter:ident) => {
        match $node {
            Node::Cast(a)
            | Node::Not(a)
            | Node::Is { value: a, .. }
            | Node::Field { value: a, .. } => {
                $see(a);
            }
            Node::Compare(_, a, b)
            | Node::Distinct { left: a, right: b, .. }
            | Node::Index { value: a, index: b } => {
                $see(a);
                $see(b);
            }
            Node::Quantified { value, array, test, .. } => {
                $see(value);
                $see(array);
                $see(test);
            }
            Node::Builtin { arguments: parts, .. }
            | Node::And(parts)
            | Node::Or(parts)
            | Node::Coalesce(parts)
            | Node::Extreme(parts, _)
            | Node::Array(_, parts)
            | Node::Row(parts, _)
            | Node::Call { arguments: parts, .. } => {
                parts.$iter().for_each($see);
            }
            Node::Case { arms, otherwise } => {
                for (when, then) in arms {
                    $see(when);
                    $see(then);
                }
                $see(otherwise);
            }
            Node::Slice { value, low, high } => {
                $see(value);
                low.$iter().chain(high).for_each(|bound| $see(bound));
            }
            Node::Query { kind: QueryKind::Quantified { value, .. }, .. } => $see(value),
            Node::Value(_)
            | Node::Parameter(_)
            | Node::Column { .. }
            | Node::Local(_)
            | Node::Query { .. } => {}
        }
    };
}

/// Calls `see` for the expressions directly below a node. Sub-selects are not entered.
pub(crate) fn children(node: &Node, see: &mut dyn FnMut(&Typed)) {
    below!(node, see, iter)
}

/// The same, to change them.
fn children_mut(node: &mut Node, see: &mut dyn FnMut(&mut Typed)) {
    below!(node, see, iter_mut)
}

/// The column that an expression is, casts aside that leave the value as it is.
pub(crate) fn bare_column(typed: &Typed, depth: usize) -> Option<usize> {
    match &typed.node {
        Node::Column { depth: at, index } if *at == depth => Some(*index),
        Node::Cast(inner) if same_form(inner.ty, typed.ty) => bare_column(inner, depth),
        _ => None,
    }
}

/// True if a value of one type is also the other's.
pub(crate) fn same_form(from: Type, to: Type) -> bool {
    let number = |ty| {
        matches!(
            ty,
            Type::Int2
                | Type::Int4
                | Type::Int8
                | Type::Oid
                | Type::Regclass
                | Type::Regtype
                | Type::Regproc
        )
    };
    (number(from) && number(to))
        || (cast::is_text(from) && matches!(to, Type::Text | Type::Varchar))
}
