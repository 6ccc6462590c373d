//! The choice of an overload (manual, 10.2 "Operators" and 10.3 "Functions").

use crate::types::Type;
use crate::types::cast::implicit;

/// The types that a parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepts {
    Type(Type),
    Any,
    /// Any type, the same wherever it stands; its array is [`Accepts::AnyArray`].
    AnyElement,
    AnyArray,
}

impl Accepts {
    fn takes(self, given: Type) -> bool {
        match self {
            Self::Type(ty) => implicit(given, ty),
            Self::Any | Self::AnyElement => true,
            Self::AnyArray => matches!(given, Type::Array(_) | Type::Unknown),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing fits.
    None,
    /// More than one fits as well.
    Many,
}

fn is_preferred(ty: Type) -> bool {
    matches!(
        ty,
        Type::Bool | Type::Float8 | Type::Text | Type::Timestamptz | Type::Interval | Type::Oid
    )
}

/// The index of the candidate that Postgres would take. Each has as many entries as there are arguments.
pub(crate) fn choose(candidates: &[Vec<Accepts>], given: &[Type]) -> Result<usize, Failure> {
    let fitting = candidates
        .iter()
        .enumerate()
        .filter(|(_, wanted)| {
            wanted.len() == given.len()
                && wanted.iter().zip(given).all(|(wanted, given)| wanted.takes(*given))
                && consistent(wanted, given)
        })
        .map(|(i, _)| i);
    let mut left: Vec<usize> = fitting.collect();
    let wanted = |i: usize, at: usize| {
        candidates.get(i).and_then(|c| c.get(at)).copied().unwrap_or(Accepts::Any)
    };
    match left.as_slice() {
        [] => return Err(Failure::None),
        [only] => return Ok(*only),
        _ => {}
    }
    // Most exact matches; then most preferred types where a conversion is needed.
    let exact =
        |i: usize| count(given, |at, ty| ty != Type::Unknown && wanted(i, at) == Accepts::Type(ty));
    keep_best(&mut left, exact);
    let preferred = |i: usize| {
        count(given, |at, ty| {
            ty != Type::Unknown
                && (wanted(i, at) == Accepts::Type(ty)
                    || matches!(wanted(i, at), Accepts::Type(want) if is_preferred(want) && want.category() == ty.category()))
        })
    };
    keep_best(&mut left, preferred);
    // A polymorphic candidate loses to a definite one.
    keep_best(&mut left, |i| count(given, |at, _| matches!(wanted(i, at), Accepts::Type(_))));
    for (at, ty) in given.iter().enumerate() {
        if *ty == Type::Unknown && left.len() > 1 {
            by_category(&mut left, at, &wanted);
        }
    }
    if left.len() > 1 {
        same_as_known(&mut left, given, &wanted);
    }
    match left.as_slice() {
        [only] => Ok(*only),
        _ => Err(Failure::Many),
    }
}

fn count(given: &[Type], fits: impl Fn(usize, Type) -> bool) -> usize {
    given.iter().enumerate().filter(|(at, ty)| fits(*at, **ty)).count()
}

fn keep_best(left: &mut Vec<usize>, score: impl Fn(usize) -> usize) {
    let best = left.iter().map(|i| score(*i)).max().unwrap_or(0);
    left.retain(|i| score(*i) == best);
}

/// An unknown literal: text if one takes it, else the one category that all have.
fn by_category(left: &mut Vec<usize>, at: usize, wanted: &impl Fn(usize, usize) -> Accepts) {
    let category_of = |i: usize| match wanted(i, at) {
        Accepts::Type(ty) => ty.category(),
        _ => 'X',
    };
    let first = left.first().map(|i| category_of(*i));
    let chosen = if left.iter().any(|i| category_of(*i) == 'S') {
        'S'
    } else if let Some(first) = first.filter(|first| left.iter().all(|i| category_of(*i) == *first))
    {
        first
    } else {
        return;
    };
    left.retain(|i| category_of(*i) == chosen);
    let prefers = |i: usize| matches!(wanted(i, at), Accepts::Type(ty) if is_preferred(ty));
    if left.iter().any(|i| prefers(*i)) {
        left.retain(|i| prefers(*i));
    }
}

/// If all known arguments have one type, the unknown ones are taken to have it too.
fn same_as_known(left: &mut Vec<usize>, given: &[Type], wanted: &impl Fn(usize, usize) -> Accepts) {
    let mut known = given.iter().filter(|ty| **ty != Type::Unknown);
    let Some(first) = known.next() else { return };
    if known.any(|ty| ty != first) {
        return;
    }
    let fits = |i: usize| {
        given
            .iter()
            .enumerate()
            .all(|(at, ty)| *ty != Type::Unknown || wanted(i, at) == Accepts::Type(*first))
    };
    let fitting: Vec<usize> = left.iter().copied().filter(|i| fits(*i)).collect();
    if fitting.len() == 1 {
        *left = fitting;
    }
}

/// The type of an operator's unknown side: that of the other side.
pub(crate) fn operator(
    candidates: &[Vec<Accepts>],
    left: Type,
    right: Type,
) -> Result<usize, Failure> {
    let assumed = match (left, right) {
        (Type::Unknown, Type::Unknown) => None,
        (Type::Unknown, known) | (known, Type::Unknown) => Some(known),
        _ => None,
    };
    if let Some(ty) = assumed {
        let both = [Accepts::Type(ty), Accepts::Type(ty)];
        if let Some(found) =
            candidates.iter().position(|wanted| wanted.as_slice() == both.as_slice())
        {
            return Ok(found);
        }
    }
    choose(candidates, &[left, right])
}

/// An element beside an array must be one of its elements.
fn consistent(wanted: &[Accepts], given: &[Type]) -> bool {
    let pairs = || wanted.iter().zip(given);
    let array = pairs().find_map(|(wanted, given)| match (wanted, given) {
        (Accepts::AnyArray, Type::Array(element)) => Some(element.ty()),
        _ => None,
    });
    array.is_none_or(|element| {
        pairs().all(|(wanted, given)| {
            *wanted != Accepts::AnyElement || implicit(*given, element) || implicit(element, *given)
        })
    })
}
