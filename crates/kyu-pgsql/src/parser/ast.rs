//! The tree of a statement as it was written, before anything is known about types. Positions are
//! bytes of the text.

use crate::types::Type;

/// A name with its schema: `pgmq`, `send`.
pub(crate) type Name = Vec<String>;

/// `WITH ... body ORDER BY ... LIMIT ...`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Select {
    pub(crate) recursive: bool,
    pub(crate) with: Vec<Cte>,
    pub(crate) body: Body,
    pub(crate) order_by: Vec<Order>,
    pub(crate) limit: Option<Expr>,
    pub(crate) offset: Option<Expr>,
}

#[derive(Clone, Debug)]
pub(crate) struct Cte {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) query: Select,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Plain(Box<Plain>),
    Values(Vec<Vec<Expr>>),
    Set { op: SetOp, all: bool, left: Box<Select>, right: Box<Select> },
    Nested(Box<Select>),
}

impl Default for Body {
    fn default() -> Self {
        Self::Values(Vec::new())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetOp {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Plain {
    pub(crate) distinct: Distinct,
    pub(crate) items: Vec<Item>,
    pub(crate) from: Vec<From>,
    pub(crate) filter: Option<Expr>,
    pub(crate) group_by: Vec<Expr>,
    pub(crate) having: Option<Expr>,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Distinct {
    #[default]
    No,
    Rows,
    On(Vec<Expr>),
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) expr: Expr,
    pub(crate) alias: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) expr: Expr,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum From {
    Table { name: Name, alias: Option<Alias>, pos: usize },
    Function { call: Box<Call>, ordinality: bool, alias: Option<Alias> },
    Query { query: Box<Select>, lateral: bool, alias: Option<Alias> },
    Join { left: Box<From>, right: Box<From>, kind: JoinKind, on: On, alias: Option<Alias> },
}

#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    /// `AS x(a int, b text)`.
    pub(crate) types: Vec<Type>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

#[derive(Clone, Debug)]
pub(crate) enum On {
    Nothing,
    Natural,
    Using(Vec<String>),
    Condition(Expr),
}

/// `name(arguments)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) name: Name,
    pub(crate) arguments: Vec<CallArgument>,
    /// `count(*)`.
    pub(crate) star: bool,
    pub(crate) distinct: bool,
    pub(crate) order_by: Vec<Order>,
    pub(crate) filter: Option<Expr>,
    pub(crate) variadic: bool,
    pub(crate) over: Option<Over>,
    pub(crate) pos: usize,
}

/// `OVER (PARTITION BY ... ORDER BY ...)`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Over {
    pub(crate) partition: Vec<Expr>,
    pub(crate) order_by: Vec<Order>,
}

#[derive(Clone, Debug)]
pub(crate) struct CallArgument {
    pub(crate) name: Option<String>,
    pub(crate) value: Expr,
}

#[derive(Clone, Debug)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Integer(String),
    Number(String),
    Text(String),
}

/// A type as written; `array` for `[]` and `ARRAY`.
#[derive(Clone, Debug)]
pub(crate) struct TypeName {
    pub(crate) name: Name,
    pub(crate) array: bool,
    /// `varchar(10)`.
    pub(crate) modifiers: Vec<i32>,
    pub(crate) pos: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Null,
    True,
    False,
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Expr {
    pub(crate) kind: Box<ExprKind>,
    pub(crate) pos: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum ExprKind {
    /// `a`, `t.a`, `s.t.a`.
    Column(Name),
    /// `*`, `t.*`.
    Star(Name),
    Literal(Literal),
    Parameter(u16),
    Default,
    Cast {
        value: Expr,
        ty: TypeName,
    },
    Unary {
        op: String,
        value: Expr,
    },
    Binary {
        op: String,
        left: Expr,
        right: Expr,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Expr),
    Is {
        value: Expr,
        test: Test,
        not: bool,
    },
    DistinctFrom {
        left: Expr,
        right: Expr,
        not: bool,
    },
    InList {
        value: Expr,
        list: Vec<Expr>,
        not: bool,
    },
    InQuery {
        value: Expr,
        query: Box<Select>,
        not: bool,
    },
    /// `value op ANY (array)`.
    Quantified {
        op: String,
        all: bool,
        value: Expr,
        array: Expr,
    },
    QuantifiedQuery {
        op: String,
        all: bool,
        value: Expr,
        query: Box<Select>,
    },
    Between {
        value: Expr,
        low: Expr,
        high: Expr,
        not: bool,
        symmetric: bool,
    },
    Case {
        operand: Option<Expr>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Expr>,
    },
    Call(Call),
    Array(Vec<Expr>),
    ArrayQuery(Box<Select>),
    Row(Vec<Expr>),
    Subquery(Box<Select>),
    Exists(Box<Select>),
    Field {
        value: Expr,
        name: String,
    },
    FieldStar(Expr),
    Index {
        value: Expr,
        index: Expr,
    },
    Slice {
        value: Expr,
        low: Option<Expr>,
        high: Option<Expr>,
    },
}
