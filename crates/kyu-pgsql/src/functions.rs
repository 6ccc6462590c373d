//! Functions that a host offers, one entry for each overload. The catalogue shows them, and the
//! resolver chooses among them.

use crate::error::PgError;
use crate::host::OverloadId;
use crate::types::Type;

/// An overload of a function.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The id that [`crate::host::Host::call`] is told.
    pub id: OverloadId,
    /// Its schema: `pgmq` or `pgmq_public`.
    pub schema: &'static str,
    /// Its name, without the schema.
    pub name: &'static str,
    /// Its arguments. An alias may have fewer than the function it stands for; the rest is that
    /// function's defaults.
    pub arguments: &'static [Argument],
    /// The type of its result.
    pub returns: Returns,
    /// Its effect on what is stored.
    pub effect: Effect,
}

/// The effect of a function on what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Reads,
    /// It changes something. A transaction that is READ ONLY refuses it as this command, the first
    /// that the function of the real extension would run.
    Writes(&'static str),
    /// It removes what it gives, as DELETE with RETURNING does. It always runs in a transaction, so
    /// that nothing is lost when what follows it fails: for want of memory, or at a timeout.
    Takes,
    /// It writes as INSERT does, and gives the numbers of what it has inserted, for `lastval()`.
    Inserts,
}

impl Effect {
    /// The command that a transaction which is READ ONLY refuses it as.
    fn command(self) -> Option<&'static str> {
        match self {
            Self::Reads => None,
            Self::Writes(command) => Some(command),
            Self::Takes => Some("DELETE"),
            Self::Inserts => Some("INSERT"),
        }
    }
}

impl Function {
    /// 25006 if it changes something.
    pub(crate) fn refuse_to_write(&self) -> Result<(), PgError> {
        self.effect.command().map_or(Ok(()), |command| {
            let message = format!("cannot execute {command} in a read-only transaction");
            Err(PgError::new("25006", message))
        })
    }
}

/// An argument of a function.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its name, for `name => value`.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// The text of its default, if it may be left out.
    pub default: Option<&'static str>,
}

/// The result of a function. A row of [`crate::host::Host::call`] has one value for a plain type,
/// and one for each column of a composite type or a table.
#[derive(Clone, Copy, Debug)]
pub enum Returns {
    /// One row.
    One(Type),
    /// Any number of rows.
    Set(Type),
    /// Any number of rows with these columns.
    Table(&'static [(&'static str, Type)]),
}

impl Returns {
    /// True if it may give more or fewer rows than one.
    pub fn is_set(self) -> bool {
        !matches!(self, Self::One(_))
    }

    /// Its type where it stands as an expression.
    pub fn ty(self) -> Type {
        match self {
            Self::One(ty) | Self::Set(ty) => ty,
            Self::Table(_) => Type::Record,
        }
    }
}

/// The functions of a host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Functions {
    functions: &'static [Function],
    aliases: &'static [Function],
}

impl Functions {
    /// The functions under their own names, and further names of some. An alias has the id of the
    /// function that it stands for.
    pub const fn new(functions: &'static [Function], aliases: &'static [Function]) -> Self {
        Self { functions, aliases }
    }

    /// Every function under its own name.
    pub fn own(self) -> &'static [Function] {
        self.functions
    }

    /// The function that an id stands for, under its own name (not an alias).
    pub fn by_id(self, id: OverloadId) -> Option<&'static Function> {
        self.functions.iter().find(|function| function.id == id)
    }

    /// Every overload of a name, aliases included. `schema` None looks in all schemas.
    pub fn named<'a>(
        self,
        schema: Option<&'a str>,
        name: &'a str,
    ) -> impl Iterator<Item = &'static Function> + 'a {
        self.all().filter(move |function| {
            schema.is_none_or(|schema| schema == function.schema) && function.name == name
        })
    }

    /// The function whose name is closest to a misspelt one, as `pgmq.send`.
    pub(crate) fn nearest(self, name: &str) -> Option<String> {
        let distances = self.all().map(|function| (distance(name, function.name), function));
        let (least, function) = distances.min_by_key(|(distance, _)| *distance)?;
        (least <= name.len() / 3 + 1).then(|| format!("{}.{}", function.schema, function.name))
    }

    fn all(self) -> impl Iterator<Item = &'static Function> {
        self.functions.iter().chain(self.aliases)
    }
}

/// `pg_sleep`: the evaluator waits itself, the host never sees it.
pub(crate) const SLEEP: OverloadId = OverloadId(u16::MAX);

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, y) in b.chars().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(0);
            let left = row.get(j).copied().unwrap_or(0);
            let next = (above + 1).min(left + 1).min(diagonal + usize::from(x != y));
            diagonal = above;
            if let Some(place) = row.get_mut(j + 1) {
                *place = next;
            }
        }
    }
    row.last().copied().unwrap_or(0)
}
