//! Expressions with a grammar of their own: CASE, CAST, EXTRACT, `current_user`, ...

use super::{Parser, Result};
use crate::parser::ast::{Call, CallArgument, Expr, ExprKind, Literal, Select};
use crate::parser::lexer::TokenKind;

/// Written without parentheses (manual, 9.26 and 9.9.5).
const BARE: &[&str] = &[
    "current_catalog",
    "current_date",
    "current_role",
    "current_timestamp",
    "current_user",
    "localtimestamp",
    "session_user",
    "user",
    "current_schema",
];

type Rule<'a> = fn(&mut Parser<'a>, usize) -> Result<ExprKind>;

impl<'a> Parser<'a> {
    /// One of them, if it stands here.
    pub(super) fn special_function(&mut self) -> Result<Option<Expr>> {
        let pos = self.pos();
        let Some(parse) = self.special_rule() else { return Ok(None) };
        let kind = parse(self, pos)?;
        Ok(Some(self.node(kind, pos)))
    }

    /// The rule for what stands here. Apart from its use, so that the frames of recursion stay small.
    fn special_rule(&self) -> Option<Rule<'a>> {
        let TokenKind::Word(word) = self.peek() else { return None };
        let open = self.is_mark_at(1, "(");
        Some(match word.as_str() {
            "case" => Self::case,
            "cast" if open => Self::cast,
            "row" if open => Self::row,
            "array" if self.is_mark_at(1, "[") => Self::array_of,
            "array" if open => Self::array_query,
            "exists" if open => Self::exists,
            "extract" if open => Self::extract,
            "substring" if open => Self::substring,
            "trim" if open => Self::trim,
            "position" if open => Self::position_in,
            "grouping" | "xmlelement" | "xmlparse" if open => Self::unsupported,
            bare if BARE.contains(&bare) && !(open && bare == "current_schema") => Self::bare,
            _ => return None,
        })
    }

    fn unsupported(&mut self, _pos: usize) -> Result<ExprKind> {
        Err(self.refuse("this function is not supported", ""))
    }

    fn bare(&mut self, pos: usize) -> Result<ExprKind> {
        let name = self.label()?;
        if self.is_mark("(") && matches!(name.as_str(), "current_timestamp" | "localtimestamp") {
            self.advance();
            self.advance();
            self.expect(")")?;
        }
        self.height = 1;
        Ok(ExprKind::Call(Call { name: vec![name], pos, ..Call::default() }))
    }

    fn row(&mut self, _pos: usize) -> Result<ExprKind> {
        self.advance();
        self.advance();
        let parts = if self.is_mark(")") { Vec::new() } else { self.list(Self::expression)? };
        self.expect(")")?;
        Ok(ExprKind::Row(parts))
    }

    fn array_of(&mut self, _pos: usize) -> Result<ExprKind> {
        self.advance();
        self.array()
    }

    fn array_query(&mut self, _pos: usize) -> Result<ExprKind> {
        Ok(ExprKind::ArrayQuery(self.query_in_parentheses()?))
    }

    fn exists(&mut self, _pos: usize) -> Result<ExprKind> {
        Ok(ExprKind::Exists(self.query_in_parentheses()?))
    }

    fn query_in_parentheses(&mut self) -> Result<Box<Select>> {
        self.advance();
        self.expect("(")?;
        let query = Box::new(self.query()?);
        self.expect(")")?;
        Ok(query)
    }

    fn case(&mut self, _pos: usize) -> Result<ExprKind> {
        self.advance();
        let operand = if self.is_word("when") { None } else { Some(self.expression()?) };
        let mut height = self.height;
        let mut arms = Vec::new();
        while self.word("when") {
            let when = self.expression()?;
            height = height.max(self.height);
            self.expect_word("then")?;
            arms.push((when, self.expression()?));
            height = height.max(self.height);
        }
        if arms.is_empty() {
            return Err(self.unexpected());
        }
        let otherwise = if self.word("else") { Some(self.expression()?) } else { None };
        self.expect_word("end")?;
        self.above(self.height.max(height))?;
        Ok(ExprKind::Case { operand, arms, otherwise })
    }

    fn cast(&mut self, _pos: usize) -> Result<ExprKind> {
        self.advance();
        self.advance();
        let value = self.expression()?;
        self.expect_word("as")?;
        let ty = self.type_name()?;
        self.expect(")")?;
        self.above(self.height)?;
        Ok(ExprKind::Cast { value, ty })
    }

    /// `[a, b]`, nested for more dimensions (which are refused later).
    fn array(&mut self) -> Result<ExprKind> {
        self.expect("[")?;
        let mut height = 0;
        let mut elements = Vec::new();
        while !self.mark("]") {
            let pos = self.pos();
            let element = if self.is_mark("[") {
                let inner = self.deeper(Self::array)?;
                self.node(inner, pos)
            } else {
                self.expression()?
            };
            height = height.max(self.height);
            elements.push(element);
            if !self.is_mark("]") {
                self.expect(",")?;
                if self.is_mark("]") {
                    return Err(self.unexpected());
                }
            }
        }
        self.above(height)?;
        Ok(ExprKind::Array(elements))
    }

    /// `EXTRACT(field FROM value)`.
    fn extract(&mut self, pos: usize) -> Result<ExprKind> {
        self.advance();
        self.advance();
        let field = match self.advance() {
            TokenKind::Word(word) | TokenKind::Quoted(word) | TokenKind::Text(word) => word,
            _ => return Err(self.unexpected()),
        };
        self.expect_word("from")?;
        let value = self.expression()?;
        self.expect(")")?;
        let field = self.node(ExprKind::Literal(Literal::Text(field)), pos);
        Ok(call("extract", vec![field, value], pos))
    }

    /// `SUBSTRING(text FROM start FOR length)`, or an ordinary call.
    fn substring(&mut self, pos: usize) -> Result<ExprKind> {
        self.advance();
        self.advance();
        let mut values = vec![self.expression()?];
        if self.word("from") {
            values.push(self.expression()?);
            if self.word("for") {
                values.push(self.expression()?);
            }
        } else if self.word("for") {
            values.push(self.node(ExprKind::Literal(Literal::Integer("1".to_owned())), pos));
            values.push(self.expression()?);
        } else {
            while self.mark(",") {
                values.push(self.expression()?);
            }
        }
        self.expect(")")?;
        Ok(call("substring", values, pos))
    }

    /// `TRIM([LEADING | TRAILING | BOTH] [characters] FROM text)`.
    fn trim(&mut self, pos: usize) -> Result<ExprKind> {
        self.advance();
        self.advance();
        let name = if self.word("leading") {
            "ltrim"
        } else if self.word("trailing") {
            "rtrim"
        } else {
            self.word("both");
            "btrim"
        };
        let mut values = Vec::new();
        if !self.is_word("from") {
            values.push(self.expression()?);
        }
        if self.word("from") {
            values.insert(0, self.expression()?);
        }
        while self.mark(",") {
            values.push(self.expression()?);
        }
        self.expect(")")?;
        Ok(call(name, values, pos))
    }

    /// `POSITION(part IN text)`.
    fn position_in(&mut self, pos: usize) -> Result<ExprKind> {
        self.advance();
        self.advance();
        let part = self.concatenation()?;
        self.expect_word("in")?;
        let text = self.concatenation()?;
        self.expect(")")?;
        Ok(call("position", vec![text, part], pos))
    }
}

fn call(name: &str, values: Vec<Expr>, pos: usize) -> ExprKind {
    let arguments = values.into_iter().map(|value| CallArgument { name: None, value }).collect();
    ExprKind::Call(Call { name: vec![name.to_owned()], arguments, pos, ..Call::default() })
}
