//! Tokens to statements: recursive descent, one token of look-ahead, two where SQL needs it.

pub(crate) mod ast;
pub mod block;
mod expression;
pub(crate) mod lexer;
mod modify;
mod query;
mod special;
pub mod statement;
mod statements;

use std::sync::Arc;

use crate::MAX_NESTING;
use crate::MAX_STATEMENT_BYTES;
use crate::error::PgError;
use crate::parser::ast::{Expr, ExprKind, Name};
use crate::parser::statement::Statement;
use crate::work::{Work, too_deep};
use lexer::{Token, TokenKind, position};

/// The height that the tree of an expression may have: a chain of operators is a tree too, and
/// everything that walks it recurs.
const MAX_HEIGHT: u32 = 128;

pub(super) type Result<T> = std::result::Result<T, PgError>;

/// The statements of a text, whose grammar has been checked to its end. Only the first is kept:
/// the others are read again when their turn comes, for a text may have a million of them.
#[derive(Debug)]
pub struct Script {
    text: Arc<str>,
    /// The places at which the statements begin, in bytes.
    starts: Vec<usize>,
    next: usize,
    first: Option<Parsed>,
}

/// A statement, and what it takes in memory.
#[derive(Debug)]
pub struct Parsed {
    /// The statement.
    pub statement: Statement,
    /// About so many bytes.
    pub bytes: usize,
}

impl Script {
    /// The number of statements.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The next statement, and whether it is the last.
    ///
    /// # Errors
    /// 53200, and what ends a statement from outside: the grammar has been checked.
    pub fn next(&mut self, work: &mut Work) -> Result<Option<(Parsed, bool)>> {
        let Some(start) = self.starts.get(self.next).copied() else { return Ok(None) };
        self.next += 1;
        let last = self.next == self.starts.len();
        if let Some(first) = self.first.take() {
            return Ok(Some((first, last)));
        }
        let (parsed, _) = one(&self.text, start, work)?;
        Ok(parsed.map(|parsed| (parsed, last)))
    }
}

/// Checks a text.
pub(crate) fn parse(text: &str, work: &mut Work) -> Result<Script> {
    if text.len() > MAX_STATEMENT_BYTES {
        return Err(PgError::new("54000", "statement is too long"));
    }
    work.grow(text.len())?;
    let text: Arc<str> = Arc::from(text);
    let mut script = Script { text: Arc::clone(&text), starts: Vec::new(), next: 0, first: None };
    let mut start = 0;
    while start < text.len() {
        let mark = work.mark();
        let (parsed, end) = one(&text, start, work)?;
        if let Some(parsed) = parsed {
            if script.starts.is_empty() {
                script.first = Some(parsed);
            } else {
                work.back_to(mark);
                drop(parsed);
            }
            work.grow(size_of::<usize>() * 2)?;
            script.starts.push(start);
        }
        start = end;
    }
    Ok(script)
}

/// The statement that begins at a byte, None for nothing but spaces, and where the next one begins.
fn one(text: &Arc<str>, start: usize, work: &mut Work) -> Result<(Option<Parsed>, usize)> {
    let before = work.mark();
    let tokens = lexer::statement(text, start, false, work)?;
    let bytes = work.mark().saturating_sub(before);
    let end = tokens.last().map_or(text.len(), |token| token.end);
    let mut parser = Parser { text, tokens, work, at: 0, depth: 0, height: 0, highest: 0 };
    if parser.is_mark(";") || parser.peek() == &TokenKind::End {
        return Ok((None, end));
    }
    let statement = parser.statement()?;
    if parser.peek() != &TokenKind::End && !parser.is_mark(";") {
        return Err(parser.unexpected());
    }
    Ok((Some(Parsed { statement, bytes }), end))
}

pub(super) struct Parser<'a> {
    text: &'a Arc<str>,
    tokens: Vec<Token>,
    work: &'a mut Work,
    at: usize,
    /// The depth that the parser is at.
    depth: u32,
    /// Height of the expression that was parsed last.
    height: u32,
    /// The greatest height in the query that is being parsed, sub-selects included.
    highest: u32,
}

static END: TokenKind = TokenKind::End;

impl Parser<'_> {
    fn peek(&self) -> &TokenKind {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &TokenKind {
        self.tokens.get(self.at + ahead).map_or(&END, |token| &token.kind)
    }

    fn pos(&self) -> usize {
        self.tokens.get(self.at).map_or(self.text.len(), |token| token.start)
    }

    fn advance(&mut self) -> TokenKind {
        let kind = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        kind
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), TokenKind::Word(have) if have == word)
    }

    fn word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        if is {
            self.advance();
        }
        is
    }

    /// Takes these words, if all of them follow.
    fn words(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate().all(|(i, word)| self.is_word_at(i, word));
        if all {
            for _ in words {
                self.advance();
            }
        }
        all
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn is_mark(&self, mark: &str) -> bool {
        self.is_mark_at(0, mark)
    }

    fn is_mark_at(&self, ahead: usize, mark: &str) -> bool {
        matches!(self.peek_at(ahead), TokenKind::Mark(have) if have == mark)
    }

    fn mark(&mut self, mark: &str) -> bool {
        let is = self.is_mark(mark);
        if is {
            self.advance();
        }
        is
    }

    fn expect(&mut self, mark: &str) -> Result<()> {
        if self.mark(mark) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// `syntax error at or near "x"`, at the current token.
    fn unexpected(&self) -> PgError {
        let pos = self.pos();
        let message = match self.tokens.get(self.at) {
            Some(Token { kind: TokenKind::End, .. }) | None => {
                "syntax error at end of input".to_owned()
            }
            Some(token) => {
                let near = self.text.get(token.start..token.end).unwrap_or("");
                format!("syntax error at or near \"{near}\"")
            }
        };
        self.at_pos(PgError::new("42601", message), pos)
    }

    /// 0A000 with one sentence on what to do instead.
    fn refuse(&self, message: impl Into<String>, hint: &str) -> PgError {
        let error = PgError::new("0A000", message);
        self.at_pos(if hint.is_empty() { error } else { error.hint(hint) }, self.pos())
    }

    fn at_pos(&self, error: PgError, pos: usize) -> PgError {
        PgError { position: Some(position(self.text, pos)), ..error }
    }

    /// Runs a part of the grammar one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_NESTING {
            return Err(too_deep());
        }
        self.work.step()?;
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Notes that an expression stands above others of this height.
    fn above(&mut self, height: u32) -> Result<()> {
        self.height = height + 1;
        self.highest = self.highest.max(self.height);
        if self.height > MAX_HEIGHT { Err(too_deep()) } else { Ok(()) }
    }

    fn node(&self, kind: ExprKind, pos: usize) -> Expr {
        Expr { kind: Box::new(kind), pos }
    }

    /// A name that may be anything but a reserved word.
    fn name(&mut self) -> Result<String> {
        match self.peek() {
            TokenKind::Word(word) if !is_reserved(word) => {}
            TokenKind::Quoted(_) => {}
            _ => return Err(self.unexpected()),
        }
        self.label()
    }

    /// A name that may be any word: after AS, after a point.
    fn label(&mut self) -> Result<String> {
        match self.advance_if_name() {
            Some(name) => Ok(name),
            None => Err(self.unexpected()),
        }
    }

    fn advance_if_name(&mut self) -> Option<String> {
        let (TokenKind::Word(name) | TokenKind::Quoted(name)) = self.peek() else { return None };
        let mut name = name.clone();
        if name.len() > 63 {
            let end = (0..=63).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
            name.truncate(end);
        }
        self.advance();
        Some(name)
    }

    /// `a.b.c`.
    fn qualified(&mut self) -> Result<Name> {
        let mut parts = vec![self.name()?];
        while self.mark(".") {
            parts.push(self.label()?);
        }
        Ok(parts)
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.mark(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `(a, b)`.
    fn name_list(&mut self) -> Result<Vec<String>> {
        self.expect("(")?;
        let names = self.list(Self::name)?;
        self.expect(")")?;
        Ok(names)
    }

    /// A text literal.
    fn text_literal(&mut self) -> Result<String> {
        match self.peek() {
            TokenKind::Text(text) => {
                let text = text.clone();
                self.advance();
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }
}

/// Reserved words of PostgreSQL 15 (manual, appendix C): not usable as names unless quoted.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// Words that may be functions or types, but not names of tables and columns.
const RESERVED_FOR_TYPES: &[&str] = &[
    "authorization",
    "binary",
    "collation",
    "concurrently",
    "cross",
    "current_schema",
    "freeze",
    "full",
    "ilike",
    "inner",
    "is",
    "isnull",
    "join",
    "left",
    "like",
    "natural",
    "notnull",
    "outer",
    "overlaps",
    "right",
    "similar",
    "tablesample",
    "verbose",
];

/// Word, category and its description, for `pg_get_keywords()`: reserved words only.
pub(super) fn keywords() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let types = RESERVED_FOR_TYPES
        .iter()
        .map(|word| (*word, "T", "reserved (can be function or type name)"));
    RESERVED.iter().map(|word| (*word, "R", "reserved")).chain(types)
}

fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word) || RESERVED_FOR_TYPES.contains(&word)
}

/// Words that need AS to be a column's label (manual, appendix C, "requires AS").
const NEEDS_AS: &[&str] = &[
    "array",
    "as",
    "char",
    "character",
    "create",
    "day",
    "except",
    "fetch",
    "filter",
    "for",
    "from",
    "grant",
    "group",
    "having",
    "hour",
    "intersect",
    "into",
    "isnull",
    "limit",
    "minute",
    "month",
    "notnull",
    "offset",
    "on",
    "order",
    "over",
    "overlaps",
    "precision",
    "returning",
    "second",
    "to",
    "union",
    "varying",
    "where",
    "window",
    "with",
    "within",
    "without",
    "year",
    "and",
    "or",
    "is",
    "in",
    "like",
    "ilike",
    "between",
    "not",
    "collate",
    "similar",
    "at",
    "then",
    "else",
    "when",
    "end",
    "operator",
    "asc",
    "desc",
    "nulls",
    "using",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Statement>> {
        let mut work = Work::alone();
        let mut script = super::parse(text, &mut work)?;
        let mut statements = Vec::new();
        while let Some((parsed, _)) = script.next(&mut work)? {
            statements.push(parsed.statement);
        }
        Ok(statements)
    }

    #[track_caller]
    fn error(text: &str) -> (String, &'static str, Option<u32>) {
        let error = parse(text).unwrap_err();
        (error.message, error.code, error.position)
    }

    #[test]
    fn syntax_errors_name_the_token_and_its_position_in_characters() {
        let expected = ("syntax error at or near \"frm\"".to_owned(), "42601", Some(10));
        assert_eq!(error("select * frm x"), expected);
        let expected = ("syntax error at end of input".to_owned(), "42601", Some(8));
        assert_eq!(
            error("select ("),
            ("syntax error at end of input".to_owned(), "42601", Some(9))
        );
        assert_eq!(error("select * from").1, expected.1);
        assert_eq!(error("sélect 1").2, Some(1));
        assert_eq!(error("select 'é' )").2, Some(12));
        assert_eq!(error("select 'x").0, "unterminated quoted string at or near \"'x\"");
        assert_eq!(error("select 1a").0, "trailing junk after numeric literal at or near \"1a\"");
        assert_eq!(error("insert into t (a) values (1)").1, "0A000");
    }

    #[test]
    fn nesting_has_a_limit_that_is_an_error_and_no_overflow_of_the_stack() {
        for (open, close) in [
            ("(", ")"),
            ("(select ", ")"),
            ("array[", "]"),
            ("case when ", ""),
            ("not ", ""),
            ("- ", ""),
        ] {
            let text = format!("select {}1{}", open.repeat(10_000), close.repeat(10_000));
            eprintln!("{open}");
            assert_eq!(error(&text).1, "54001", "{open}");
        }
        for chain in ["+1", "::int", " || 'x'", " union select 1", "[1]"] {
            let text = format!("select 1{}", chain.repeat(10_000));
            assert_eq!(error(&text).1, "54001", "{chain}");
        }
        let joins = format!("select 1 from a {}", "join a on true ".repeat(10_000));
        assert_eq!(error(&joins).1, "54001");
        let long =
            format!("select 1 where 1 in ({}1) {}", "1,".repeat(10_000), "or true ".repeat(10_000));
        assert_eq!(parse(&long).unwrap().len(), 1);
    }

    #[test]
    fn a_text_of_several_statements_is_split() {
        assert_eq!(parse(" ; select 1; ; begin; commit -- x\n;/* ; /* */ ; */").unwrap().len(), 3);
        assert!(parse("").unwrap().is_empty());
        assert_eq!(error("select 1 select 2").0, "syntax error at or near \"2\"");
    }
}
