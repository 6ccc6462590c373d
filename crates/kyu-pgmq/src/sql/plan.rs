//! A query whose names and types are settled.

use std::sync::Arc;

use super::ast::{JoinKind, SetOp, Test};
use crate::host::{OverloadId, Relation};
use crate::types::{Element, Type};
use crate::value::{Column, Value};

/// An expression with its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Typed {
    pub(crate) node: Node,
    pub(crate) ty: Type,
}

impl Typed {
    pub(crate) fn new(node: Node, ty: Type) -> Self {
        Self { node, ty }
    }

    pub(crate) fn null(ty: Type) -> Self {
        Self { node: Node::Value(Value::Null), ty }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Value(Value),
    /// From 0.
    Parameter(usize),
    /// A column of the current row of the query at this depth (0 is the outermost).
    Column {
        depth: usize,
        index: usize,
    },
    /// One of the two values that a quantified comparison compares.
    Local(usize),
    /// To the type of the expression.
    Cast(Box<Typed>),
    Compare(Comparison, Box<Typed>, Box<Typed>),
    /// A function of `builtins`.
    Builtin {
        index: usize,
        arguments: Vec<Typed>,
    },
    And(Vec<Typed>),
    Or(Vec<Typed>),
    Not(Box<Typed>),
    Is {
        value: Box<Typed>,
        test: Test,
        not: bool,
    },
    Distinct {
        left: Box<Typed>,
        right: Box<Typed>,
        not: bool,
    },
    /// `value op ANY (array)`; the test compares `Local(0)` with `Local(1)`.
    Quantified {
        value: Box<Typed>,
        array: Box<Typed>,
        test: Box<Typed>,
        all: bool,
    },
    Case {
        arms: Vec<(Typed, Typed)>,
        otherwise: Box<Typed>,
    },
    Coalesce(Vec<Typed>),
    /// The largest (true) or smallest.
    Extreme(Vec<Typed>, bool),
    Array(Element, Vec<Typed>),
    /// With the names of its fields, where they are known.
    Row(Vec<Typed>, Vec<String>),
    Field {
        value: Box<Typed>,
        index: usize,
    },
    Index {
        value: Box<Typed>,
        index: Box<Typed>,
    },
    Slice {
        value: Box<Typed>,
        low: Option<Box<Typed>>,
        high: Option<Box<Typed>>,
    },
    /// A function of the queues that gives one row. It runs once for each row that it is asked for.
    Call {
        id: usize,
        target: Target,
        arguments: Vec<Typed>,
        composite: bool,
    },
    /// A sub-select.
    Query {
        id: usize,
        plan: Arc<Plan>,
        kind: QueryKind,
        correlated: bool,
    },
}

/// Which overload to call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Known(OverloadId),
    /// Literals and parameters without a type: chosen by what they hold. Candidates with the types of their
    /// arguments; arguments arrive as text.
    ByContent(Vec<(OverloadId, Vec<Type>)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum QueryKind {
    Scalar,
    Exists,
    Array(Element),
    /// `value op ANY (SELECT ...)`.
    Quantified {
        value: Box<Typed>,
        test: Box<Typed>,
        all: bool,
    },
}

/// Identity is enough: plans are only compared to find expressions of GROUP BY.
impl PartialEq for Plan {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) ctes: Vec<CtePlan>,
    pub(crate) body: BodyPlan,
    /// What it gives; rows of the body may have more values, for sorting.
    pub(crate) columns: Vec<Column>,
    pub(crate) order: Vec<SortKey>,
    pub(crate) limit: Option<Typed>,
    pub(crate) offset: Option<Typed>,
    /// It, or something in it, looks at the catalogue.
    pub(crate) catalog: bool,
    /// How many queries enclose it.
    pub(crate) depth: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct CtePlan {
    pub(crate) id: usize,
    pub(crate) plan: Arc<Plan>,
    /// The recursive part, and whether rows may come twice.
    pub(crate) recursive: Option<(Arc<Plan>, bool)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SortKey {
    pub(crate) index: usize,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum BodyPlan {
    Select(Box<SelectPlan>),
    Values(Vec<Vec<Typed>>),
    Set { op: SetOp, all: bool, left: Arc<Plan>, right: Arc<Plan>, types: Vec<Type> },
    Nested(Arc<Plan>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct SelectPlan {
    pub(crate) from: Vec<Source>,
    /// Values of a row of FROM.
    pub(crate) width: usize,
    /// Conjuncts of WHERE, and how many values of the row each needs.
    pub(crate) filters: Vec<(usize, Typed)>,
    pub(crate) grouping: Option<Grouping>,
    /// Set-returning functions of the select list; each adds a value to the row.
    pub(crate) sets: Vec<(usize, SetCall)>,
    /// `row_number()`; each adds a value to the row.
    pub(crate) windows: Vec<(usize, Window)>,
    /// How many values follow those of FROM: aggregates, sets and windows.
    pub(crate) slots: usize,
    /// Values of the result, then those that only sort.
    pub(crate) items: Vec<Typed>,
    pub(crate) distinct: DistinctPlan,
    /// What a scan may leave out.
    pub(crate) msg_id: Option<Typed>,
}

impl SelectPlan {
    /// Where the values of the select list stand in the row, if it is nothing but columns, each
    /// once: such rows are moved instead of evaluated. `SELECT * FROM pgmq.read(...)` is one.
    pub(crate) fn moved_columns(&self, at_depth: usize) -> Option<Vec<usize>> {
        if !self.sets.is_empty() || matches!(self.distinct, DistinctPlan::On(_)) {
            return None;
        }
        let mut columns = Vec::with_capacity(self.items.len());
        for item in &self.items {
            match item.node {
                Node::Column { depth, index } if depth == at_depth && !columns.contains(&index) => {
                    columns.push(index);
                }
                _ => return None,
            }
        }
        Some(columns)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) enum DistinctPlan {
    #[default]
    No,
    Rows,
    On(Vec<Typed>),
}

#[derive(Clone, Debug)]
pub(crate) struct Grouping {
    pub(crate) keys: Vec<Typed>,
    /// Each with its place in the row.
    pub(crate) aggregates: Vec<(usize, Aggregate)>,
    pub(crate) having: Option<Typed>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) kind: AggregateKind,
    pub(crate) arguments: Vec<Typed>,
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Typed>,
    pub(crate) order: Vec<(Typed, bool, bool)>,
    pub(crate) ty: Type,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggregateKind {
    CountRows,
    Count,
    Sum,
    Average,
    Min,
    Max,
    BoolAnd,
    BoolOr,
    Array,
    Text,
    Json,
    JsonObject,
}

/// `row_number() OVER (...)`: rows with equal keys are numbered in their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) partition: Vec<Typed>,
    /// Each with whether it descends, and whether NULL comes first.
    pub(crate) order: Vec<(Typed, bool, bool)>,
}

/// A set-returning call: of the queues or built in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SetCall {
    pub(crate) function: SetFunction,
    pub(crate) arguments: Vec<Typed>,
    /// Its rows become one value (a composite) where it stands in the select list.
    pub(crate) ty: Type,
    pub(crate) columns: Vec<Column>,
    /// Its rows are not a single plain value.
    pub(crate) composite: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SetFunction {
    Queue(Target),
    /// Of `builtins::sets`.
    Builtin(usize),
    /// A plain expression in FROM: one row of one value.
    Scalar,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    Leaf(Leaf),
    Join { left: Box<Source>, right: Box<Source>, kind: JoinKind, on: Option<Typed>, width: usize },
}

#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) id: usize,
    /// Where its values begin in the row.
    pub(crate) offset: usize,
    pub(crate) width: usize,
    pub(crate) kind: LeafKind,
    /// It reads values of leaves before it.
    pub(crate) dependent: bool,
    pub(crate) ordinality: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum LeafKind {
    Relation(Relation),
    Catalog(&'static str),
    Cte(usize),
    Query(Arc<Plan>),
    Function(SetCall),
}

impl SelectPlan {
    /// The relation whose rows it only counts, as in `SELECT count(*) FROM pgmq.q_jobs`.
    pub(crate) fn counted(&self) -> Option<&Relation> {
        let grouping = self.grouping.as_ref()?;
        let counts = |(_, aggregate): &(usize, Aggregate)| {
            aggregate.kind == AggregateKind::CountRows
                && aggregate.filter.is_none()
                && !aggregate.distinct
        };
        let plain = self.filters.is_empty()
            && grouping.keys.is_empty()
            && grouping.aggregates.iter().all(counts);
        match self.from.as_slice() {
            [Source::Leaf(Leaf { kind: LeafKind::Relation(relation), .. })] if plain => {
                Some(relation)
            }
            _ => None,
        }
    }
}

/// Whether a plan calls the host at most once, with nothing after the call that can fail.
pub(crate) fn is_one_call(plan: &Plan) -> bool {
    let BodyPlan::Select(select) = &plan.body else { return false };
    let plain = plan.ctes.is_empty()
        && plan.limit.is_none()
        && plan.offset.is_none()
        && select.filters.is_empty()
        && select.grouping.is_none()
        && select.windows.is_empty()
        && matches!(select.distinct, DistinctPlan::No);
    if !plain {
        return false;
    }
    match (select.from.as_slice(), select.sets.as_slice()) {
        // SELECT f(...)
        ([], []) => match select.items.as_slice() {
            [Typed { node: Node::Call { arguments, .. }, .. }] => arguments.iter().all(is_pure),
            items => items.iter().all(is_pure),
        },
        // SELECT set(...)
        ([], [(_, set)]) => set.arguments.iter().all(is_pure) && select.items.iter().all(is_column),
        // SELECT a, b FROM set(...)
        ([Source::Leaf(Leaf { kind: LeafKind::Function(set), .. })], []) => {
            let arguments = set.arguments.iter().all(|argument| match &argument.node {
                Node::Call { arguments, .. } => {
                    set.function == SetFunction::Scalar && arguments.iter().all(is_pure)
                }
                _ => is_pure(argument),
            });
            arguments && select.items.iter().all(is_column)
        }
        _ => false,
    }
}

/// It asks nobody; it is evaluated before the call.
fn is_pure(typed: &Typed) -> bool {
    match &typed.node {
        Node::Value(_) | Node::Parameter(_) => true,
        Node::Cast(inner) => is_pure(inner),
        Node::Builtin { arguments, .. } => arguments.iter().all(is_pure),
        Node::Array(_, parts) => parts.iter().all(is_pure),
        _ => false,
    }
}

fn is_column(typed: &Typed) -> bool {
    match &typed.node {
        Node::Column { .. } | Node::Value(_) => true,
        Node::Field { value, .. } => is_column(value),
        _ => false,
    }
}
