//! A query whose names and types are settled.

pub(crate) mod walk;

use std::sync::Arc;

use crate::host::{OverloadId, Relation};
use crate::parser::ast::{JoinKind, SetOp, Test};
use crate::types::value::{Column, Value};
use crate::types::{Element, Type};

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
        target: CallTarget,
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

/// The overload to call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CallTarget {
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
    /// The columns of its result; rows of the body may have more values, for sorting.
    pub(crate) columns: Vec<Column>,
    pub(crate) order: Vec<SortKey>,
    pub(crate) limit: Option<Typed>,
    pub(crate) offset: Option<Typed>,
    /// It, or something in it, looks at the catalogue.
    pub(crate) catalog: bool,
    /// A function may be called that removes what it gives.
    pub(crate) takes: bool,
    /// The number of queries that enclose it.
    pub(crate) depth: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct CtePlan {
    pub(crate) id: usize,
    /// The WITH queries that it reads: they are asked before it, so that a chain of them is no
    /// recursion.
    pub(crate) needs: Arc<[usize]>,
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
    pub(crate) from: Vec<FromItem>,
    /// Values of a row of FROM.
    pub(crate) width: usize,
    /// Conjuncts of WHERE that are asked when the row is whole; `place` has given the others to
    /// FROM.
    pub(crate) filters: Vec<Typed>,
    /// It has a WHERE, wherever its conjuncts are asked now.
    pub(crate) filtered: bool,
    pub(crate) grouping: Option<Grouping>,
    /// Set-returning functions of the select list; each adds a value to the row.
    pub(crate) sets: Vec<(usize, SetCall)>,
    /// `row_number()`; each adds a value to the row.
    pub(crate) windows: Vec<(usize, Window)>,
    /// The number of values that follow those of FROM: aggregates, sets and windows.
    pub(crate) slots: usize,
    /// Values of the result, then those that only sort.
    pub(crate) items: Vec<Typed>,
    pub(crate) distinct: DistinctPlan,
    /// The rows that a scan may leave out.
    pub(crate) msg_id: Option<Typed>,
}

impl SelectPlan {
    /// The places in the row of the values of the select list, if it is nothing but columns, each
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
    Queue(CallTarget),
    /// A function of `builtins::sets`, by its place there.
    Builtin(usize),
    /// `unnest` of several arrays side by side.
    UnnestAll,
    /// `jsonb_to_recordset` (an array of objects), or `jsonb_to_record` (one): the columns are those
    /// that FROM names.
    Records {
        many: bool,
    },
    /// A plain expression in FROM: one row of one value.
    Scalar,
}

/// One item of FROM: joined to those before it.
#[derive(Clone, Debug)]
pub(crate) struct FromItem {
    pub(crate) source: Source,
    /// Equalities with items before it.
    pub(crate) keys: Vec<JoinKey>,
    /// Conjuncts that can be asked once it is there.
    pub(crate) filters: Vec<Typed>,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    Leaf(Leaf),
    Join(Join),
}

/// Two sources; the row of the right one follows that of the left.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) left: Box<Source>,
    pub(crate) right: Box<Source>,
    pub(crate) kind: JoinKind,
    /// Equalities of the condition: rows are found by hashing them.
    pub(crate) keys: Vec<JoinKey>,
    /// The rest of the condition.
    pub(crate) on: Vec<Typed>,
    /// The number of values that a row has up to the end of it.
    pub(crate) width: usize,
}

/// An equality between the rows so far and the source that joins them.
#[derive(Clone, Debug)]
pub(crate) struct JoinKey {
    /// Its columns are those of the row so far.
    pub(crate) left: Typed,
    /// Its columns count from the first of the joining source.
    pub(crate) right: Typed,
}

impl Source {
    /// The place in the row at which its values begin.
    pub(crate) fn offset(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.offset,
            Self::Join(join) => join.left.offset().min(join.right.offset()),
        }
    }

    /// The number of values that a row has up to the end of it.
    pub(crate) fn end(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.offset + leaf.width,
            Self::Join(join) => join.width,
        }
    }

    /// True if its rows depend on those of sources before it.
    pub(crate) fn is_dependent(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.dependent,
            Self::Join(join) => join.left.is_dependent() || join.right.is_dependent(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// Conditions on its rows alone; their columns count from its first.
    pub(crate) filters: Vec<Typed>,
    /// Of the catalogue: what a column must equal, for a look-up instead of a scan. The filters
    /// say the same.
    pub(crate) bounds: Vec<LeafBound>,
    /// The place in the row at which its values begin.
    pub(crate) offset: usize,
    pub(crate) width: usize,
    pub(crate) kind: LeafKind,
    /// It reads values of leaves before it.
    pub(crate) dependent: bool,
    pub(crate) ordinality: bool,
}

/// `column = value`, or `column = ANY (values)`.
#[derive(Clone, Debug)]
pub(crate) struct LeafBound {
    /// Counted from the leaf's first.
    pub(crate) column: usize,
    /// Reads no row of the query that the leaf is in.
    pub(crate) value: Typed,
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
        let plain =
            !self.filtered && grouping.keys.is_empty() && grouping.aggregates.iter().all(counts);
        match self.from.as_slice() {
            [
                FromItem {
                    source: Source::Leaf(Leaf { kind: LeafKind::Relation(relation), .. }),
                    ..
                },
            ] if plain => Some(relation),
            _ => None,
        }
    }
}

/// True if a plan calls the host at most once, with nothing after the call that can fail.
pub(crate) fn is_one_call(plan: &Plan) -> bool {
    let BodyPlan::Select(select) = &plan.body else { return false };
    let plain = plan.ctes.is_empty()
        && plan.limit.is_none()
        && plan.offset.is_none()
        && !select.filtered
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
        (
            [
                FromItem {
                    source: Source::Leaf(Leaf { kind: LeafKind::Function(set), .. }), ..
                },
            ],
            [],
        ) => {
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

/// Functions that take no longer than their arguments are long.
const SHORT_FUNCTIONS: &[&str] = &[
    "+",
    "-",
    "now",
    "clock_timestamp",
    "version",
    "current_schema",
    "current_database",
    "current_user",
    "current_setting",
    "set_config",
    "pg_backend_pid",
    "to_timestamp",
    "to_jsonb",
    "jsonb_build_object",
    "json_build_object",
    "jsonb_build_array",
    "json_build_array",
];

/// Expressions of a short query have no more parts than this.
const MAX_SHORT_PARTS: usize = 1_000;

/// True if a query of [`is_one_call`] is short: see
/// [`Prepared::is_short`](crate::Prepared::is_short).
pub(crate) fn is_short(plan: &Plan) -> bool {
    let BodyPlan::Select(select) = &plan.body else { return false };
    let mut parts = 0;
    let mut short = true;
    let mut see = |node: &Node| {
        parts += 1;
        if let Node::Builtin { index, .. } = node {
            let name = crate::builtins::all().get(*index).map(|builtin| builtin.name);
            short &= name.is_some_and(|name| SHORT_FUNCTIONS.contains(&name));
        }
    };
    let calls = select.from.iter().filter_map(|item| match &item.source {
        Source::Leaf(Leaf { kind: LeafKind::Function(set), .. }) => Some(set),
        _ => None,
    });
    for set in calls.chain(select.sets.iter().map(|(_, set)| set)) {
        set.arguments.iter().for_each(|typed| walk::walk(typed, &mut see));
        match set.function {
            SetFunction::Queue(_) | SetFunction::Scalar => {}
            SetFunction::Builtin(_) | SetFunction::UnnestAll | SetFunction::Records { .. } => {
                return false;
            }
        }
    }
    select.items.iter().for_each(|typed| walk::walk(typed, &mut see));
    short && parts <= MAX_SHORT_PARTS
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
