//! `DO $$ ... $$`: the part of PL/pgSQL that scripts around queues are written in.
//!
//! ```text
//!  [DECLARE name type [:= value]; ...]
//!  BEGIN
//!    PERFORM ...;  SELECT ... [INTO name, ...];  DELETE ...;  name := value;  NULL;
//!    RAISE [EXCEPTION | NOTICE | ...] 'text %', value;
//!    IF ... THEN ... [ELSIF ... THEN ...] [ELSE ...] END IF;
//!    FOR i IN [REVERSE] 1..10 LOOP ... END LOOP;  FOR row IN SELECT ... LOOP ... END LOOP;
//!    FOREACH x IN ARRAY ... LOOP ... END LOOP;  EXIT [WHEN ...];  CONTINUE [WHEN ...];  RETURN;
//!  [EXCEPTION WHEN others THEN ...]
//!  END
//! ```
//! Everything else is refused. A block is only parsed here; `wire` runs it, statement by statement. Its queries stay
//! text: variables become literals in them before they are parsed, so a variable hides a column of its name.

use std::collections::BTreeMap;

use crate::error::PgError;
use crate::parser::lexer::{Token, TokenKind, tokens};
use crate::types::Type;
use crate::types::names;
use crate::types::text;
use crate::types::value::Value;
use crate::work::Work;

type Result<T> = std::result::Result<T, PgError>;

/// The depth to which blocks, IF and loops may be nested: 54001 beyond it.
const MAX_DEPTH: u32 = 32;

/// `[DECLARE ...] BEGIN ... [EXCEPTION ...] END`.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Name, type as written, and the expression of its first value.
    pub variables: Vec<(String, String, Option<String>)>,
    /// Its statements, in order.
    pub steps: Vec<Step>,
    /// SQLSTATEs, none for `others`, and what to do.
    pub handlers: Vec<(Vec<Option<String>>, Vec<Step>)>,
}

/// One statement of a block. Queries and expressions are texts with the names of variables in them.
#[derive(Clone, Debug)]
pub enum Step {
    /// A statement; its first row goes into the variables.
    Query {
        /// The statement.
        text: String,
        /// Names of variables, one for each column, or that of a row.
        into: Vec<String>,
    },
    /// `variable := value`.
    Assign {
        /// Its name.
        variable: String,
        /// The expression.
        value: String,
    },
    /// `RAISE level 'format', argument, ...`.
    Raise {
        /// `EXCEPTION`, `NOTICE` and their like.
        level: &'static str,
        /// The text, with `%` for each argument.
        format: String,
        /// Expressions.
        arguments: Vec<String>,
    },
    /// `RAISE;`
    Again,
    /// `IF ... ELSIF ... ELSE ... END IF`.
    If {
        /// Conditions and what to do; the first that holds is done.
        arms: Vec<(String, Vec<Self>)>,
        /// The steps if none holds.
        otherwise: Vec<Self>,
    },
    /// FOR over numbers (a query of them) or rows, and FOREACH.
    For {
        /// The variable that is set in each round.
        variable: String,
        /// The query that gives one row for each round.
        rows: String,
        /// The variable takes the first column, not the row.
        scalar: bool,
        /// The steps of each round.
        body: Vec<Self>,
    },
    /// EXIT (true) and CONTINUE.
    Leave {
        /// The loop ends; else its next round begins.
        exit: bool,
        /// The condition, if there is one.
        when: Option<String>,
    },
    /// RETURN: the block ends.
    Return,
    /// NULL.
    Nothing,
    /// A block within the block.
    Inner(Block),
}

/// The value of a variable.
#[derive(Clone, Debug)]
pub enum Variable {
    /// Type as written, and text.
    Scalar(String, Option<String>),
    /// A row: fields by name.
    Row(BTreeMap<String, (String, Option<String>)>),
}

/// Variables by name; inner blocks hide those of outer ones.
pub type Variables = BTreeMap<String, Variable>;

/// `('text'::type)`.
fn literal(ty: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("('{}'::{ty})", value.replace('\'', "''")),
        None => format!("(NULL::{ty})"),
    }
}

/// The text of a value, for a variable; None for NULL.
pub fn text_of(ty: Type, value: &Value) -> Option<String> {
    (!matches!(value, Value::Null)).then(|| text::to_string(ty, value))
}

/// A type's name in a cast.
pub fn cast_name(ty: Type) -> String {
    match ty {
        // NULL of a composite, or nothing at all: text will do.
        Type::Void | Type::Unknown | Type::Record => "text".to_owned(),
        other => names::display(other).to_owned(),
    }
}

/// Puts variables into a text of SQL.
pub fn fill_in(sql: &str, variables: &Variables, work: &mut Work) -> Result<String> {
    let tokens = tokens(sql, work)?;
    let mut filled = String::with_capacity(sql.len());
    let mut copied = 0;
    let mark = |token: Option<&Token>, marks: &[&str]| {
        token.is_some_and(
            |token| matches!(&token.kind, TokenKind::Mark(have) if marks.contains(&have.as_str())),
        )
    };
    for (at, token) in tokens.iter().enumerate() {
        let (TokenKind::Word(name) | TokenKind::Quoted(name)) = &token.kind else { continue };
        let Some(variable) = variables.get(name) else { continue };
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let as_alias = before
            .is_some_and(|token| matches!(&token.kind, TokenKind::Word(word) if word == "as"));
        if as_alias || mark(before, &["."]) {
            continue;
        }
        let after = tokens.get(at + 1);
        let (value, end) = match variable {
            Variable::Scalar(ty, value) if !mark(after, &[".", "(", "=>", ":="]) => {
                (literal(ty, value.as_deref()), token.end)
            }
            Variable::Row(fields) if mark(after, &["."]) => {
                let Some(Token {
                    kind: TokenKind::Word(field) | TokenKind::Quoted(field),
                    end,
                    ..
                }) = tokens.get(at + 2)
                else {
                    continue;
                };
                let Some((ty, value)) = fields.get(field) else {
                    let message = format!("record \"{name}\" has no field \"{field}\"");
                    return Err(PgError::new("42703", message));
                };
                (literal(ty, value.as_deref()), *end)
            }
            Variable::Scalar(..) | Variable::Row(_) => continue,
        };
        filled.push_str(sql.get(copied..token.start).unwrap_or(""));
        filled.push_str(&value);
        copied = end;
        if filled.len() > crate::MAX_STATEMENT_BYTES {
            return Err(PgError::new("54000", "statement is too long"));
        }
    }
    filled.push_str(sql.get(copied..).unwrap_or(""));
    Ok(filled)
}

/// Parses the text between the dollars.
pub fn parse(text: &str, work: &mut Work) -> Result<Block> {
    let mut parser = BlockParser { text, tokens: tokens(text, work)?, at: 0, depth: 0 };
    let block = parser.block()?;
    parser.mark(";");
    match parser.peek() {
        TokenKind::End => Ok(block),
        _ => Err(parser.unexpected()),
    }
}

struct BlockParser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

static END: TokenKind = TokenKind::End;

/// Conditions by name (manual, appendix A) that functions of queues can end with.
const CONDITIONS: &[(&str, &str)] = &[
    ("raise_exception", "P0001"),
    ("undefined_table", "42P01"),
    ("undefined_function", "42883"),
    ("undefined_column", "42703"),
    ("undefined_object", "42704"),
    ("duplicate_table", "42P07"),
    ("unique_violation", "23505"),
    ("not_null_violation", "23502"),
    ("null_value_not_allowed", "22004"),
    ("invalid_parameter_value", "22023"),
    ("invalid_text_representation", "22P02"),
    ("division_by_zero", "22012"),
    ("numeric_value_out_of_range", "22003"),
    ("lock_not_available", "55P03"),
    ("feature_not_supported", "0A000"),
    ("syntax_error", "42601"),
];

impl BlockParser<'_> {
    fn peek(&self) -> &TokenKind {
        self.tokens.get(self.at).map_or(&END, |token| &token.kind)
    }

    fn start(&self) -> usize {
        self.tokens.get(self.at).map_or(self.text.len(), |token| token.start)
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len());
    }

    fn is(&self, word: &str) -> bool {
        matches!(self.peek(), TokenKind::Word(have) if have == word)
    }

    fn is_mark(&self, mark: &str) -> bool {
        matches!(self.peek(), TokenKind::Mark(have) if have == mark)
    }

    fn word(&mut self, word: &str) -> bool {
        let is = self.is(word);
        if is {
            self.advance();
        }
        is
    }

    fn mark(&mut self, mark: &str) -> bool {
        let is = self.is_mark(mark);
        if is {
            self.advance();
        }
        is
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.word(word) || self.mark(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> PgError {
        let near = self.tokens.get(self.at).and_then(|token| self.text.get(token.start..token.end));
        PgError::new(
            "42601",
            match near.filter(|near| !near.is_empty()) {
                Some(near) => format!("syntax error at or near \"{near}\""),
                None => "syntax error at end of input".to_owned(),
            },
        )
    }

    fn name(&mut self) -> Result<String> {
        match self.peek() {
            TokenKind::Word(name) | TokenKind::Quoted(name) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// The text up to one of these words or marks, outside of parentheses and CASE, which is not taken.
    fn until(&mut self, stops: &[&str]) -> Result<String> {
        let start = self.start();
        let mut open = 0_u32;
        loop {
            let (opens, closes, stop) = match self.peek() {
                TokenKind::End => return Err(self.unexpected()),
                TokenKind::Word(word) => {
                    (word == "case", word == "end" && open > 0, stops.contains(&word.as_str()))
                }
                TokenKind::Mark(mark) => {
                    let stop = mark == ";" || stops.contains(&mark.as_str());
                    (["(", "["].contains(&mark.as_str()), [")", "]"].contains(&mark.as_str()), stop)
                }
                _ => (false, false, false),
            };
            if stop && open == 0 {
                if self.is_mark(";") && !stops.contains(&";") {
                    return Err(self.unexpected());
                }
                let text = self.text.get(start..self.start()).unwrap_or("").trim();
                return if text.is_empty() { Err(self.unexpected()) } else { Ok(text.to_owned()) };
            }
            open = open.saturating_add(u32::from(opens)).saturating_sub(u32::from(closes));
            self.advance();
        }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(PgError::new("54001", "stack depth limit exceeded"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn block(&mut self) -> Result<Block> {
        let mut block = Block::default();
        if self.word("declare") {
            while !self.is("begin") {
                block.variables.push(self.declaration()?);
            }
        }
        self.expect("begin")?;
        block.steps = self.steps(&["exception", "end"])?;
        if self.word("exception") {
            while self.word("when") {
                let mut conditions = vec![self.condition()?];
                while self.word("or") {
                    conditions.push(self.condition()?);
                }
                self.expect("then")?;
                block.handlers.push((conditions, self.steps(&["when", "end"])?));
            }
        }
        self.expect("end")?;
        if matches!(self.peek(), TokenKind::Word(_) | TokenKind::Quoted(_)) {
            self.advance();
        }
        Ok(block)
    }

    fn declaration(&mut self) -> Result<(String, String, Option<String>)> {
        let name = self.name()?;
        self.word("constant");
        let ty = self.until(&[";", ":=", "=", "default", "not"])?;
        if self.word("not") {
            self.expect("null")?;
        }
        let given = self.mark(":=") || self.mark("=") || self.word("default");
        let value = if given { Some(self.until(&[";"])?) } else { None };
        self.expect(";")?;
        Ok((name, ty, value))
    }

    fn condition(&mut self) -> Result<Option<String>> {
        let name = self.name()?;
        if name == "sqlstate"
            && let TokenKind::Text(code) = self.peek().clone()
        {
            self.advance();
            return Ok(Some(code));
        }
        let known = CONDITIONS.iter().find(|(known, _)| *known == name);
        match known {
            _ if name == "others" => Ok(None),
            Some((_, code)) => Ok(Some((*code).to_owned())),
            None => {
                let message = format!("unrecognized exception condition \"{name}\"");
                Err(PgError::new("42704", message).hint("WHEN others, or SQLSTATE 'P0001'."))
            }
        }
    }

    /// Steps up to one of these words, which is not taken.
    fn steps(&mut self, stops: &[&str]) -> Result<Vec<Step>> {
        self.deeper(|parser| {
            let mut steps = Vec::new();
            while !stops.iter().any(|stop| parser.is(stop)) {
                steps.push(parser.step()?);
                parser.expect(";")?;
            }
            Ok(steps)
        })
    }

    fn step(&mut self) -> Result<Step> {
        let TokenKind::Word(word) = self.peek().clone() else { return self.assignment() };
        match word.as_str() {
            "declare" | "begin" => self.deeper(Self::block).map(Step::Inner),
            "null" => {
                self.advance();
                Ok(Step::Nothing)
            }
            "return" => {
                self.advance();
                Ok(Step::Return)
            }
            "perform" => {
                self.advance();
                Ok(Step::Query {
                    text: format!("SELECT {}", self.until(&[";"])?),
                    into: Vec::new(),
                })
            }
            "raise" => self.raise(),
            "if" => self.branches(),
            "for" => self.over_rows(),
            "foreach" => self.over_array(),
            "exit" | "continue" => {
                self.advance();
                let when = if self.word("when") { Some(self.until(&[";"])?) } else { None };
                Ok(Step::Leave { exit: word == "exit", when })
            }
            "select" | "with" | "insert" | "update" | "delete" | "truncate" | "notify"
            | "values" => self.statement(),
            "execute" | "loop" | "while" | "open" | "fetch" | "close" | "get" | "assert"
            | "call" | "commit" | "rollback" | "create" | "drop" | "alter" | "grant" | "revoke"
            | "case" => {
                let message = format!("{} is not supported in DO", word.to_uppercase());
                Err(PgError::new("0A000", message).hint(
                    "This server runs PERFORM, SELECT, RAISE, IF, FOR and EXCEPTION; do the rest in the client.",
                ))
            }
            _ => self.assignment(),
        }
    }

    fn assignment(&mut self) -> Result<Step> {
        let variable = self.name()?;
        if !self.mark(":=") {
            self.expect("=")?;
        }
        Ok(Step::Assign { variable, value: self.until(&[";"])? })
    }

    /// A statement, with its INTO taken out.
    fn statement(&mut self) -> Result<Step> {
        let start = self.start();
        // `INSERT INTO` is another INTO.
        let insert = self.is("insert");
        if insert {
            self.advance();
            self.advance();
        }
        let head = self.until(&[";", "into"])?;
        let mut text = self.text.get(start..self.start()).unwrap_or(&head).to_owned();
        let mut into = Vec::new();
        if self.word("into") {
            self.word("strict");
            into.push(self.name()?);
            while self.mark(",") {
                into.push(self.name()?);
            }
            if !self.is_mark(";") {
                text = format!("{text} {}", self.until(&[";"])?);
            }
        }
        Ok(Step::Query { text, into })
    }

    fn raise(&mut self) -> Result<Step> {
        self.advance();
        if self.is_mark(";") {
            return Ok(Step::Again);
        }
        let levels = ["debug", "log", "info", "notice", "warning", "exception"];
        let shown = ["DEBUG", "LOG", "INFO", "NOTICE", "WARNING", "EXCEPTION"];
        let level =
            levels.iter().zip(shown).find(|(word, _)| self.is(word)).map(|(_, level)| level);
        if level.is_some() {
            self.advance();
        }
        let TokenKind::Text(format) = self.peek().clone() else {
            return Err(PgError::new("0A000", "RAISE needs a text here")
                .hint("RAISE EXCEPTION 'text %', value."));
        };
        self.advance();
        let mut arguments = Vec::new();
        while self.mark(",") {
            arguments.push(self.until(&[";", ",", "using"])?);
        }
        if self.is("using") {
            return Err(PgError::new("0A000", "RAISE ... USING is not supported")
                .hint("RAISE EXCEPTION 'text'."));
        }
        if format.replace("%%", "").matches('%').count() != arguments.len() {
            return Err(PgError::new(
                "42601",
                "too many or too few parameters specified for RAISE",
            ));
        }
        Ok(Step::Raise { level: level.unwrap_or("EXCEPTION"), format, arguments })
    }

    fn branches(&mut self) -> Result<Step> {
        self.advance();
        let mut arms = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let condition = self.until(&["then"])?;
            self.expect("then")?;
            arms.push((condition, self.steps(&["elsif", "elseif", "else", "end"])?));
            if self.word("elsif") || self.word("elseif") {
                continue;
            }
            if self.word("else") {
                otherwise = self.steps(&["end"])?;
            }
            self.expect("end")?;
            self.expect("if")?;
            return Ok(Step::If { arms, otherwise });
        }
    }

    fn body(&mut self) -> Result<Vec<Step>> {
        self.expect("loop")?;
        let body = self.steps(&["end"])?;
        self.expect("end")?;
        self.expect("loop")?;
        Ok(body)
    }

    fn over_rows(&mut self) -> Result<Step> {
        self.advance();
        let variable = self.name()?;
        self.expect("in")?;
        let reverse = self.word("reverse");
        let queries = ["select", "with", "values", "delete", "update", "insert"];
        if !reverse && queries.iter().any(|word| self.is(word)) {
            let rows = self.until(&["loop"])?;
            return Ok(Step::For { variable, rows, scalar: false, body: self.body()? });
        }
        let whole = self.until(&["loop"])?;
        let Some((from, rest)) = whole.split_once("..") else {
            return Err(PgError::new("0A000", "FOR takes numbers or a query here")
                .hint("FOR i IN 1..10 LOOP."));
        };
        let (to, step) = match rest.to_ascii_lowercase().find(" by ") {
            Some(at) => (rest.get(..at).unwrap_or(rest), rest.get(at + 4..).unwrap_or("1")),
            None => (rest, "1"),
        };
        let sign = if reverse { "-" } else { "" };
        let rows = format!(
            "SELECT generate_series(({from})::integer, ({to})::integer, {sign}({step})::integer)"
        );
        Ok(Step::For { variable, rows, scalar: true, body: self.body()? })
    }

    fn over_array(&mut self) -> Result<Step> {
        self.advance();
        let variable = self.name()?;
        self.expect("in")?;
        self.expect("array")?;
        let rows = format!("SELECT unnest({})", self.until(&["loop"])?);
        Ok(Step::For { variable, rows, scalar: true, body: self.body()? })
    }
}
