//! Expressions, by precedence climbing (manual, table 4.2).

use super::{Parser, Result, is_reserved};
use crate::error::PgError;
use crate::parser::ast::{Call, Expr, ExprKind, Literal, Name, Over, Test, TypeName};
use crate::parser::lexer::TokenKind;

const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const IS: u8 = 4;
const COMPARISON: u8 = 5;
const RANGE: u8 = 6;
const OTHER: u8 = 7;
const SUM: u8 = 8;
const PRODUCT: u8 = 9;
const POWER: u8 = 10;
const AT: u8 = 11;
const COLLATE: u8 = 12;
const SIGN: u8 = 13;

const COMPARISONS: [&str; 7] = ["<", ">", "=", "<=", ">=", "<>", "!="];

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.binary(0)
    }

    /// An expression in which IN ends it.
    pub(super) fn concatenation(&mut self) -> Result<Expr> {
        self.binary(RANGE)
    }

    fn binary(&mut self, least: u8) -> Result<Expr> {
        self.deeper(|parser| {
            let mut left = parser.prefix()?;
            while let Some(next) = parser.infix(left, least)? {
                match next {
                    (expr, true) => left = expr,
                    (expr, false) => return Ok(expr),
                }
            }
            Err(parser.unexpected())
        })
    }

    fn prefix(&mut self) -> Result<Expr> {
        let pos = self.pos();
        if self.word("not") {
            let value = self.binary(NOT)?;
            self.above(self.height)?;
            return Ok(self.node(ExprKind::Not(value), pos));
        }
        let op = match self.peek() {
            TokenKind::Mark(op) if op == "-" || op == "+" => op.clone(),
            TokenKind::Mark(op) if op == "@" || op == "~" || op == "|/" => {
                let op = op.clone();
                self.advance();
                let value = self.binary(OTHER + 1)?;
                self.above(self.height)?;
                return Ok(self.node(ExprKind::Unary { op, value }, pos));
            }
            _ => return self.postfix(),
        };
        self.advance();
        // A literal takes the sign, so that the smallest integer can be written.
        if op == "-"
            && let TokenKind::Integer(digits) | TokenKind::Number(digits) = self.peek().clone()
        {
            let integer = matches!(self.peek(), TokenKind::Integer(_));
            let follows = self.is_mark_at(1, "::") || self.is_mark_at(1, "^");
            if !follows {
                self.advance();
                self.height = 1;
                let digits = format!("-{digits}");
                let literal =
                    if integer { Literal::Integer(digits) } else { Literal::Number(digits) };
                return Ok(self.node(ExprKind::Literal(literal), pos));
            }
        }
        let value = self.binary(SIGN)?;
        self.above(self.height)?;
        Ok(self.node(ExprKind::Unary { op, value }, pos))
    }

    /// One operator behind `left`, if it binds tighter than `least`; false with `left` itself if not.
    fn infix(&mut self, left: Expr, least: u8) -> Result<Option<(Expr, bool)>> {
        let pos = self.pos();
        let height = self.height;
        let kind = self.peek().clone();
        let done = match &kind {
            TokenKind::Mark(op) => {
                let (level, op) = match op.as_str() {
                    "(" | ")" | "[" | "]" | "," | ";" | "." | ":" | "::" | ":=" | "=>" => {
                        return Ok(Some((left, false)));
                    }
                    "!=" => (COMPARISON, "<>"),
                    "<" | ">" | "=" | "<=" | ">=" | "<>" => (COMPARISON, op.as_str()),
                    "+" | "-" => (SUM, op.as_str()),
                    "*" | "/" | "%" => (PRODUCT, op.as_str()),
                    "^" => (POWER, op.as_str()),
                    _ => (OTHER, op.as_str()),
                };
                if level <= least {
                    return Ok(Some((left, false)));
                }
                self.advance();
                self.operator(left, op.to_owned(), level, pos)?
            }
            TokenKind::Word(word) => match self.word_operator(word, left, least)? {
                (expr, true) => expr,
                (expr, false) => return Ok(Some((expr, false))),
            },
            _ => return Ok(Some((left, false))),
        };
        self.above(self.height.max(height))?;
        // `a < b = c` has no meaning in SQL.
        let compared = |kind: &TokenKind| matches!(kind, TokenKind::Mark(op) if COMPARISONS.contains(&op.as_str()));
        if compared(&kind) && compared(self.peek()) {
            return Err(self.unexpected());
        }
        Ok(Some((done, true)))
    }

    /// Reads what follows a symbol: ANY, ALL, or a right side.
    fn operator(&mut self, left: Expr, op: String, level: u8, pos: usize) -> Result<Expr> {
        let any = self.is_word("any") || self.is_word("some");
        if (any || self.is_word("all")) && self.is_mark_at(1, "(") {
            self.advance();
            self.advance();
            let kind = if self.starts_query() {
                let query = Box::new(self.query()?);
                ExprKind::QuantifiedQuery { op, all: !any, value: left, query }
            } else {
                let array = self.expression()?;
                ExprKind::Quantified { op, all: !any, value: left, array }
            };
            self.expect(")")?;
            return Ok(self.node(kind, pos));
        }
        let right = self.binary(level)?;
        Ok(self.node(ExprKind::Binary { op, left, right }, pos))
    }

    fn word_operator(&mut self, word: &str, left: Expr, least: u8) -> Result<(Expr, bool)> {
        let pos = self.pos();
        let level = match word {
            "or" => OR,
            "and" => AND,
            "is" | "isnull" | "notnull" => IS,
            "between" | "in" | "like" | "ilike" | "similar" => RANGE,
            "not"
                if ["between", "in", "like", "ilike", "similar"]
                    .iter()
                    .any(|w| self.is_word_at(1, w)) =>
            {
                RANGE
            }
            "operator" if self.is_mark_at(1, "(") => OTHER,
            "at" if self.is_word_at(1, "time") => AT,
            "collate" => COLLATE,
            "overlaps" => {
                return Err(
                    self.refuse("OVERLAPS is not supported", "Compare the ends of the ranges.")
                );
            }
            _ => return Ok((left, false)),
        };
        if level <= least {
            return Ok((left, false));
        }
        self.advance();
        let expr = match word {
            "or" | "and" => self.chain(word == "or", left, pos)?,
            "is" => self.is(left, pos)?,
            "isnull" => self.node(ExprKind::Is { value: left, test: Test::Null, not: false }, pos),
            "notnull" => self.node(ExprKind::Is { value: left, test: Test::Null, not: true }, pos),
            "operator" => {
                let op = self.named_operator()?;
                self.operator(left, op, OTHER, pos)?
            }
            "at" => {
                self.advance();
                self.expect_word("zone")?;
                let zone = self.binary(AT)?;
                self.function("timezone", vec![zone, left], pos)
            }
            "collate" => {
                self.qualified()?;
                left
            }
            "not" => {
                let word = match self.advance() {
                    TokenKind::Word(word) => word,
                    _ => return Err(self.unexpected()),
                };
                self.range(&word, left, true, pos)?
            }
            _ => self.range(word, left, false, pos)?,
        };
        Ok((expr, true))
    }

    /// `a AND b AND c` is one node, so that long lists stay flat.
    fn chain(&mut self, or: bool, left: Expr, pos: usize) -> Result<Expr> {
        let (word, level) = if or { ("or", OR) } else { ("and", AND) };
        let mut height = self.height;
        let mut parts = vec![left];
        loop {
            parts.push(self.binary(level)?);
            height = height.max(self.height);
            if !self.word(word) {
                break;
            }
        }
        self.height = height;
        Ok(self.node(if or { ExprKind::Or(parts) } else { ExprKind::And(parts) }, pos))
    }

    fn is(&mut self, left: Expr, pos: usize) -> Result<Expr> {
        let not = self.word("not");
        if self.words(&["distinct", "from"]) {
            let right = self.binary(IS)?;
            return Ok(self.node(ExprKind::DistinctFrom { left, right, not }, pos));
        }
        let test = match self.peek() {
            TokenKind::Word(word) => match word.as_str() {
                "null" => Test::Null,
                "true" => Test::True,
                "false" => Test::False,
                "unknown" => Test::Unknown,
                _ => return Err(self.unexpected()),
            },
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(self.node(ExprKind::Is { value: left, test, not }, pos))
    }

    /// BETWEEN, IN, LIKE and their kin.
    fn range(&mut self, word: &str, left: Expr, not: bool, pos: usize) -> Result<Expr> {
        match word {
            "between" => {
                let symmetric = self.word("symmetric");
                if !symmetric {
                    self.word("asymmetric");
                }
                let low = self.binary(RANGE)?;
                let height = self.height;
                self.expect_word("and")?;
                let high = self.binary(RANGE)?;
                self.height = self.height.max(height);
                Ok(self.node(ExprKind::Between { value: left, low, high, not, symmetric }, pos))
            }
            "in" => {
                self.expect("(")?;
                let kind = if self.starts_query() {
                    ExprKind::InQuery { value: left, query: Box::new(self.query()?), not }
                } else {
                    ExprKind::InList { value: left, list: self.list(Self::expression)?, not }
                };
                self.expect(")")?;
                Ok(self.node(kind, pos))
            }
            "like" | "ilike" => {
                let op = match (word, not) {
                    ("like", false) => "~~",
                    ("like", true) => "!~~",
                    (_, false) => "~~*",
                    (_, true) => "!~~*",
                };
                let like = self.operator(left, op.to_owned(), RANGE, pos)?;
                if !self.word("escape") {
                    return Ok(like);
                }
                let escape = self.binary(RANGE)?;
                let ExprKind::Binary { op, left, right } = *like.kind else {
                    return Err(self.unexpected());
                };
                let right = self.function("like_escape", vec![right, escape], pos);
                Ok(self.node(ExprKind::Binary { op, left, right }, pos))
            }
            _ => Err(self.refuse("SIMILAR TO is not supported", "Use LIKE or the operator ~.")),
        }
    }

    /// `OPERATOR(pg_catalog.~)`, after OPERATOR.
    fn named_operator(&mut self) -> Result<String> {
        self.expect("(")?;
        while matches!(self.peek(), TokenKind::Word(_) | TokenKind::Quoted(_)) {
            self.advance();
            self.expect(".")?;
        }
        let TokenKind::Mark(op) = self.advance() else { return Err(self.unexpected()) };
        self.expect(")")?;
        Ok(if op == "!=" { "<>".to_owned() } else { op })
    }

    fn function(&self, name: &str, values: Vec<Expr>, pos: usize) -> Expr {
        self.node(ExprKind::Call(call_of(name, values, pos)), pos)
    }

    /// A primary with casts, subscripts and fields behind it.
    fn postfix(&mut self) -> Result<Expr> {
        let mut value = self.primary()?;
        loop {
            let pos = self.pos();
            let height = self.height;
            if self.mark("::") {
                let ty = self.type_name()?;
                value = self.node(ExprKind::Cast { value, ty }, pos);
            } else if self.mark("[") {
                value = self.subscript(value, pos)?;
            } else if self.is_mark(".") && is_composite(&value) {
                self.advance();
                if self.mark("*") {
                    return Ok(self.node(ExprKind::FieldStar(value), pos));
                }
                let name = self.label()?;
                value = self.node(ExprKind::Field { value, name }, pos);
            } else {
                return Ok(value);
            }
            self.above(self.height.max(height))?;
        }
    }

    fn subscript(&mut self, value: Expr, pos: usize) -> Result<Expr> {
        let low = if self.is_mark(":") { None } else { Some(self.expression()?) };
        if self.mark(":") {
            let high = if self.is_mark("]") { None } else { Some(self.expression()?) };
            self.expect("]")?;
            return Ok(self.node(ExprKind::Slice { value, low, high }, pos));
        }
        self.expect("]")?;
        match low {
            Some(index) => Ok(self.node(ExprKind::Index { value, index }, pos)),
            None => Err(self.unexpected()),
        }
    }

    pub(super) fn primary(&mut self) -> Result<Expr> {
        let pos = self.pos();
        self.height = 1;
        match self.peek().clone() {
            TokenKind::Integer(digits) => {
                self.advance();
                Ok(self.node(ExprKind::Literal(Literal::Integer(digits)), pos))
            }
            TokenKind::Number(digits) => {
                self.advance();
                Ok(self.node(ExprKind::Literal(Literal::Number(digits)), pos))
            }
            TokenKind::Text(text) => {
                self.advance();
                Ok(self.node(ExprKind::Literal(Literal::Text(text)), pos))
            }
            TokenKind::Parameter(number) => {
                self.advance();
                if number == 0 {
                    return Err(self.at_pos(PgError::new("42P02", "there is no parameter $0"), pos));
                }
                Ok(self.node(ExprKind::Parameter(number), pos))
            }
            TokenKind::Mark(mark) if mark == "(" => self.parenthesis(pos),
            TokenKind::Word(_) | TokenKind::Quoted(_) => self.named(pos),
            _ => Err(self.unexpected()),
        }
    }

    fn parenthesis(&mut self, pos: usize) -> Result<Expr> {
        if self.starts_query() {
            self.advance();
            let query = Box::new(self.query()?);
            self.expect(")")?;
            return Ok(self.node(ExprKind::Subquery(query), pos));
        }
        self.advance();
        let first = self.expression()?;
        if self.is_mark(",") {
            let mut parts = vec![first];
            let mut height = self.height;
            while self.mark(",") {
                parts.push(self.expression()?);
                height = height.max(self.height);
            }
            self.expect(")")?;
            self.above(height)?;
            return Ok(self.node(ExprKind::Row(parts), pos));
        }
        self.expect(")")?;
        Ok(first)
    }

    /// Something that begins with a word.
    fn named(&mut self, pos: usize) -> Result<Expr> {
        if let Some(expr) = self.special_function()? {
            return Ok(expr);
        }
        if let TokenKind::Word(word) = self.peek()
            && let Some(literal) = match word.as_str() {
                "null" => Some(Literal::Null),
                "true" => Some(Literal::Bool(true)),
                "false" => Some(Literal::Bool(false)),
                _ => None,
            }
        {
            self.advance();
            return Ok(self.node(ExprKind::Literal(literal), pos));
        }
        if let Some(literal) = self.typed_literal()? {
            return Ok(literal);
        }
        let mut name = vec![self.column_or_function()?];
        while self.is_mark(".") {
            self.advance();
            if self.mark("*") {
                return Ok(self.node(ExprKind::Star(name), pos));
            }
            name.push(self.label()?);
        }
        if self.is_mark("(") {
            let call = self.call(name, pos)?;
            return Ok(self.node(ExprKind::Call(call), pos));
        }
        if let [only] = name.as_slice() {
            let quoted = matches!(
                self.tokens.get(self.at.wrapping_sub(1)).map(|t| &t.kind),
                Some(TokenKind::Quoted(_))
            );
            if is_reserved(only) && !quoted {
                self.at -= 1;
                return Err(self.unexpected());
            }
        }
        Ok(self.node(ExprKind::Column(name), pos))
    }

    /// `left(...)` and `right(...)` are functions though the words are reserved for joins.
    fn column_or_function(&mut self) -> Result<String> {
        if self.is_mark_at(1, "(")
            && ["left", "right", "current_schema"].iter().any(|word| self.is_word(word))
        {
            return self.label();
        }
        self.name()
    }

    /// The name of a function or table in FROM.
    pub(super) fn function_name(&mut self) -> Result<Name> {
        self.qualified()
    }

    /// Arguments and what follows them; the current token is `(`.
    pub(super) fn call(&mut self, name: Name, pos: usize) -> Result<Call> {
        self.expect("(")?;
        let mut call = Call { name, pos, ..Call::default() };
        self.height = 1;
        self.arguments(&mut call)?;
        if self.words(&["within", "group"]) {
            return Err(
                self.refuse("ordered-set aggregates are not supported", "Sort in a sub-select.")
            );
        }
        if self.is_word("filter") && self.is_mark_at(1, "(") {
            self.advance();
            self.advance();
            self.expect_word("where")?;
            call.filter = Some(self.expression()?);
            self.expect(")")?;
        }
        if self.word("over") {
            call.over = Some(self.over()?);
        }
        Ok(call)
    }

    /// `(PARTITION BY ... ORDER BY ...)`: no frames, no names of windows.
    fn over(&mut self) -> Result<Over> {
        if !self.mark("(") {
            return Err(self.window());
        }
        let mut over = Over::default();
        if self.words(&["partition", "by"]) {
            over.partition = self.list(Self::expression)?;
        }
        if self.words(&["order", "by"]) {
            over.order_by = self.order_list()?;
        }
        if !self.is_mark(")") {
            return Err(self.window());
        }
        self.expect(")")?;
        Ok(over)
    }

    /// `interval '1 day'`, `timestamptz '...'`, `jsonb '{}'`, `double precision '1'`.
    fn typed_literal(&mut self) -> Result<Option<Expr>> {
        let pos = self.pos();
        let TokenKind::Word(word) = self.peek() else { return Ok(None) };
        let text_follows = matches!(self.peek_at(1), TokenKind::Text(_));
        let long = matches!(word.as_str(), "timestamp" | "time" | "double" | "character")
            && (self.is_word_at(1, "with")
                || self.is_word_at(1, "without")
                || self.is_word_at(1, "precision")
                || self.is_word_at(1, "varying"));
        if (is_reserved(word) || !text_follows) && !long {
            return Ok(None);
        }
        let ty = self.type_name()?;
        let text_pos = self.pos();
        let text = self.text_literal()?;
        let value = self.node(ExprKind::Literal(Literal::Text(text)), text_pos);
        // `interval '1' day` gives the unit behind.
        if ty.name.last().is_some_and(|name| name == "interval") {
            for unit in ["year", "month", "day", "hour", "minute", "second"] {
                if self.word(unit) {
                    let ExprKind::Literal(Literal::Text(number)) = *value.kind else { break };
                    let text = Literal::Text(format!("{number} {unit}"));
                    let value = self.node(ExprKind::Literal(text), text_pos);
                    return Ok(Some(self.node(ExprKind::Cast { value, ty }, pos)));
                }
            }
        }
        Ok(Some(self.node(ExprKind::Cast { value, ty }, pos)))
    }

    pub(super) fn type_name(&mut self) -> Result<TypeName> {
        let pos = self.pos();
        let mut name = match self.peek() {
            // Types may have names that are reserved for functions, but not the fully reserved ones.
            TokenKind::Word(word) if !super::RESERVED.contains(&word.as_str()) => {
                vec![self.label()?]
            }
            TokenKind::Quoted(_) => {
                // `"char"` differs from `char`.
                let name = self.label()?;
                vec![if name == "char" { "\"char\"".to_owned() } else { name }]
            }
            _ => return Err(self.unexpected()),
        };
        while self.mark(".") {
            let quoted = matches!(self.peek(), TokenKind::Quoted(_));
            let part = self.label()?;
            name.push(if quoted && part == "char" { "\"char\"".to_owned() } else { part });
        }
        match name.last().map(String::as_str) {
            Some("double") => self.expect_word("precision")?,
            Some("character" | "char") if self.word("varying") => name = vec!["varchar".to_owned()],
            _ => {}
        }
        let mut modifiers = Vec::new();
        if self.mark("(") {
            modifiers = self.list(|parser| match parser.advance() {
                TokenKind::Integer(digits) => digits.parse().map_err(|_| parser.unexpected()),
                _ => Err(parser.unexpected()),
            })?;
            self.expect(")")?;
        }
        if matches!(name.last().map(String::as_str), Some("timestamp" | "time")) {
            if self.words(&["with", "time", "zone"]) {
                name = vec![
                    if name.last().is_some_and(|n| n == "time") { "timetz" } else { "timestamptz" }
                        .to_owned(),
                ];
            } else {
                self.words(&["without", "time", "zone"]);
            }
        }
        let mut array = self.word("array");
        while self.is_mark("[") && (self.is_mark_at(1, "]") || self.is_mark_at(2, "]")) {
            array = true;
            while !self.mark("]") {
                self.advance();
            }
        }
        Ok(TypeName { name, array, modifiers, pos })
    }
}

fn call_of(name: &str, values: Vec<Expr>, pos: usize) -> Call {
    let arguments = values
        .into_iter()
        .map(|value| crate::parser::ast::CallArgument { name: None, value })
        .collect();
    Call { name: vec![name.to_owned()], arguments, pos, ..Call::default() }
}

/// True if `.` behind it selects a field: after parentheses, calls and subscripts. The points of a
/// column's own name have been taken already.
fn is_composite(expr: &Expr) -> bool {
    matches!(
        *expr.kind,
        ExprKind::Row(_)
            | ExprKind::Column(_)
            | ExprKind::Call(_)
            | ExprKind::Field { .. }
            | ExprKind::Index { .. }
            | ExprKind::Subquery(_)
            | ExprKind::Cast { .. }
            | ExprKind::Parameter(_)
            | ExprKind::Case { .. }
    )
}
