//! Statements other than queries. Most are data for `wire`.

use std::sync::Arc;

use super::{Parser, Result};
use crate::error::PgError;
use crate::parser::ast::{Body, ExprKind, From, Item, Plain, Select};
use crate::parser::block;
use crate::parser::lexer::TokenKind;
use crate::parser::statement::{
    Change, CopyFormat, CopyOut, Discard, Fetch, Query, Statement, TransactionModes, Utility,
};
use crate::types::names;

/// Extensions that CREATE EXTENSION accepts: there is nothing to create.
const EXTENSIONS: &[&str] = &["pgmq", "pg_partman", "plpgsql", "pgcrypto", "uuid-ossp", "hstore"];

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Result<Statement> {
        self.height = 0;
        self.highest = 0;
        if self.starts_query() {
            return Ok(Statement::Query(self.whole_query()?));
        }
        let TokenKind::Word(word) = self.peek().clone() else { return Err(self.unexpected()) };
        match word.as_str() {
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint"
            | "release" => self.transaction(&word),
            "set" => self.set(),
            "show" => self.show(),
            "reset" => {
                self.advance();
                let name = if self.word("all") { None } else { Some(self.setting_name()?) };
                Ok(Statement::Reset(name))
            }
            "discard" => self.discard(),
            "prepare" => self.prepare(),
            "execute" => self.execute(),
            "deallocate" => {
                self.advance();
                self.word("prepare");
                let name = if self.word("all") { None } else { Some(self.name()?) };
                Ok(Statement::Deallocate(name))
            }
            "declare" => self.declare(),
            "fetch" | "move" => self.fetch(word == "move"),
            "close" => {
                self.advance();
                let name = if self.word("all") { None } else { Some(self.name()?) };
                Ok(Statement::Close(name))
            }
            "listen" => {
                self.advance();
                Ok(Statement::Listen(self.name()?))
            }
            "unlisten" => {
                self.advance();
                let name = if self.mark("*") { None } else { Some(self.name()?) };
                Ok(Statement::Unlisten(name))
            }
            "notify" => {
                self.advance();
                let channel = self.name()?;
                let payload = if self.mark(",") { self.text_literal()? } else { String::new() };
                Ok(Statement::Notify(channel, payload))
            }
            "copy" => self.copy(),
            "create" | "drop" | "alter" | "comment" => self.definition(&word),
            "vacuum" | "analyze" | "checkpoint" | "reindex" | "load" => Ok(self.skip(&word)),
            "delete" => self.delete(),
            "update" => self.update(),
            "insert" => self.insert(),
            "truncate" => self.truncate(),
            "do" => self.anonymous_block(),
            "merge" | "lock" | "explain" | "grant" | "revoke" | "call" | "import" | "refresh"
            | "cluster" | "security" => Err(self.refused(&word)),
            _ => Err(self.unexpected()),
        }
    }

    fn whole_query(&mut self) -> Result<Query> {
        let select = self.query()?;
        Ok(self.finish(select, None))
    }

    pub(super) fn finish(&self, select: Select, change: Option<Change>) -> Query {
        Query { select: Arc::new(select), text: Arc::clone(self.text), change }
    }

    fn refused(&self, word: &str) -> PgError {
        let (what, hint) = match word {
            "call" => (
                "procedures are not supported",
                "This server has the pgmq SQL API, not a programming language; do it in the client.",
            ),
            "explain" => ("EXPLAIN is not supported", "There are no plans to choose from."),
            "grant" | "revoke" => ("privileges are not supported", "Every user may do everything."),
            "lock" => {
                ("LOCK is not supported", "pgmq.read() keeps messages apart for each reader.")
            }
            _ => (
                "this statement is not supported",
                "This server has the pgmq SQL API and read-only queries.",
            ),
        };
        self.refuse(what, hint)
    }

    fn transaction(&mut self, word: &str) -> Result<Statement> {
        self.advance();
        match word {
            "savepoint" => return Ok(Statement::Savepoint(self.name()?)),
            "release" => {
                self.word("savepoint");
                return Ok(Statement::Release(self.name()?));
            }
            "start" => {
                self.expect_word("transaction")?;
                return Ok(Statement::Begin(TransactionModes { start: true, ..self.modes()? }));
            }
            _ => {}
        }
        if !self.word("transaction") {
            self.word("work");
        }
        match word {
            "begin" => Ok(Statement::Begin(self.modes()?)),
            "rollback" if self.word("to") => {
                self.word("savepoint");
                Ok(Statement::RollbackTo(self.name()?))
            }
            "commit" if self.is_word("prepared") => {
                Err(self.refuse("two-phase commit is not supported", ""))
            }
            _ => {
                let chain = self.word("and") && {
                    let no = self.word("no");
                    self.expect_word("chain")?;
                    !no
                };
                Ok(if matches!(word, "commit" | "end") {
                    Statement::Commit(chain)
                } else {
                    Statement::Rollback(chain)
                })
            }
        }
    }

    fn modes(&mut self) -> Result<TransactionModes> {
        let mut modes = TransactionModes::default();
        loop {
            if self.words(&["isolation", "level"]) {
                let levels: [(&[&str], &str); 4] = [
                    (&["serializable"], "serializable"),
                    (&["repeatable", "read"], "repeatable read"),
                    (&["read", "committed"], "read committed"),
                    (&["read", "uncommitted"], "read uncommitted"),
                ];
                let level = levels.into_iter().find(|(words, _)| self.words(words));
                modes.isolation = Some(level.ok_or_else(|| self.unexpected())?.1);
            } else if self.words(&["read", "only"]) {
                modes.read_only = Some(true);
            } else if self.words(&["read", "write"]) {
                modes.read_only = Some(false);
            } else if self.words(&["not", "deferrable"]) {
                modes.deferrable = Some(false);
            } else if self.word("deferrable") {
                modes.deferrable = Some(true);
            } else {
                return Ok(modes);
            }
            self.mark(",");
        }
    }

    fn set(&mut self) -> Result<Statement> {
        self.advance();
        if self.words(&["session", "characteristics", "as", "transaction"]) {
            return Ok(Statement::SetTransaction(self.modes()?, true));
        }
        let local = self.word("local");
        if !local {
            self.word("session");
        }
        if self.word("transaction") {
            return Ok(Statement::SetTransaction(self.modes()?, false));
        }
        let (name, equals) = if self.words(&["time", "zone"]) {
            ("timezone".to_owned(), false)
        } else if self.word("names") {
            ("client_encoding".to_owned(), false)
        } else if self.words(&["session", "authorization"]) || self.word("authorization") {
            ("session_authorization".to_owned(), false)
        } else if self.word("role") {
            ("role".to_owned(), false)
        } else {
            (self.setting_name()?, true)
        };
        if equals && !self.mark("=") {
            self.expect_word("to")?;
        } else if !equals {
            self.mark("=");
        }
        if self.word("default") || self.is_word("local") && name == "timezone" && self.word("local")
        {
            return Ok(Statement::Set { name, value: None, local });
        }
        let values = self.list(Self::setting_value)?;
        Ok(Statement::Set { name, value: Some(values.join(", ")), local })
    }

    /// `name`, `prefix.name`.
    fn setting_name(&mut self) -> Result<String> {
        let mut name = self.label()?;
        while self.mark(".") {
            name = format!("{name}.{}", self.label()?);
        }
        Ok(name.to_ascii_lowercase())
    }

    fn setting_value(&mut self) -> Result<String> {
        let sign = if self.mark("-") { "-" } else { "" };
        if self.word("interval") {
            return self.zone_interval();
        }
        let value = match self.advance() {
            TokenKind::Word(text)
            | TokenKind::Quoted(text)
            | TokenKind::Text(text)
            | TokenKind::Integer(text)
            | TokenKind::Number(text) => text,
            _ => {
                self.at = self.at.saturating_sub(1);
                return Err(self.unexpected());
            }
        };
        // `SET SESSION CHARACTERISTICS`-like words: `TO read committed`.
        let mut value = format!("{sign}{value}");
        while let TokenKind::Word(more) = self.peek().clone() {
            self.advance();
            value = format!("{value} {more}");
        }
        Ok(value)
    }

    /// `'+02:00' HOUR TO MINUTE`: the fields add nothing to what the text says.
    fn zone_interval(&mut self) -> Result<String> {
        let value = self.text_literal()?;
        if self.word("hour") && self.word("to") && !self.word("minute") {
            self.expect_word("second")?;
        }
        Ok(value)
    }

    fn show(&mut self) -> Result<Statement> {
        self.advance();
        let name = if self.words(&["time", "zone"]) {
            "timezone".to_owned()
        } else if self.words(&["transaction", "isolation", "level"]) {
            "transaction_isolation".to_owned()
        } else if self.words(&["session", "authorization"]) {
            "session_authorization".to_owned()
        } else {
            self.setting_name()?
        };
        Ok(Statement::Show(name))
    }

    fn discard(&mut self) -> Result<Statement> {
        self.advance();
        let what = match self.peek() {
            TokenKind::Word(word) => match word.as_str() {
                "all" => Discard::All,
                "plans" => Discard::Plans,
                "sequences" => Discard::Sequences,
                "temp" | "temporary" => Discard::Temp,
                _ => return Err(self.unexpected()),
            },
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(Statement::Discard(what))
    }

    fn prepare(&mut self) -> Result<Statement> {
        self.advance();
        if self.is_word("transaction") {
            return Err(self.refuse("two-phase commit is not supported", ""));
        }
        let name = self.name()?;
        let mut types = Vec::new();
        if self.mark("(") {
            let written = self.list(Self::type_name)?;
            self.expect(")")?;
            for ty in written {
                types.push(names::to_type(&ty, self.text)?);
            }
        }
        self.expect_word("as")?;
        if !self.starts_query() {
            let changes = ["insert", "update", "delete", "merge"];
            if !changes.iter().any(|verb| self.is_word(verb)) {
                return Err(self.unexpected());
            }
            return Err(self.refuse("PREPARE takes a query", "Prepare a SELECT."));
        }
        Ok(Statement::Prepare { name, types, query: self.whole_query()? })
    }

    fn execute(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.name()?;
        if !self.mark("(") {
            return Ok(Statement::Execute { name, arguments: None });
        }
        let values = self.list(Self::expression)?;
        self.expect(")")?;
        let items = values.into_iter().map(|expr| Item { expr, alias: None }).collect();
        let body = Body::Plain(Box::new(Plain { items, ..Plain::default() }));
        let query = self.finish(Select { body, ..Select::default() }, None);
        Ok(Statement::Execute { name, arguments: Some(query) })
    }

    fn declare(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.name()?;
        let mut binary = false;
        loop {
            if self.word("binary") {
                binary = true;
            } else if !(self.word("insensitive")
                || self.word("asensitive")
                || self.word("no")
                || self.word("scroll"))
            {
                break;
            }
        }
        self.expect_word("cursor")?;
        let hold = self.words(&["with", "hold"]);
        if !hold {
            self.words(&["without", "hold"]);
        }
        self.expect_word("for")?;
        if !self.starts_query() {
            return Err(self.unexpected());
        }
        Ok(Statement::Declare { name, hold, binary, query: self.whole_query()? })
    }

    fn fetch(&mut self, skip: bool) -> Result<Statement> {
        self.advance();
        let mut count = Some(1);
        if self.word("all") || self.words(&["forward", "all"]) {
            count = None;
        } else if self.word("next") {
            // One.
        } else {
            let backward = self.word("backward") || self.word("prior");
            if !backward {
                self.word("forward");
            }
            let negative = self.mark("-") || backward;
            if let TokenKind::Integer(digits) = self.peek().clone() {
                self.advance();
                count = Some(digits.parse().map_err(|_| self.unexpected())?);
            } else if ["first", "last", "absolute", "relative"]
                .iter()
                .any(|word| self.is_word(word))
            {
                return Err(self.refuse("cursors only go forwards", "FETCH FORWARD, FETCH ALL."));
            }
            if negative {
                count = count.map(|count: i64| -count);
            }
        }
        if !self.word("from") {
            self.word("in");
        }
        Ok(Statement::Fetch(Fetch { cursor: self.name()?, count, skip }))
    }

    fn copy(&mut self) -> Result<Statement> {
        self.advance();
        let query = if self.mark("(") {
            if !self.starts_query() {
                return Err(self.refuse("COPY takes a query", "COPY (SELECT ...) TO STDOUT."));
            }
            let query = self.whole_query()?;
            self.expect(")")?;
            query
        } else {
            let pos = self.pos();
            let name = self.qualified()?;
            let mut items =
                vec![Item { expr: self.node(ExprKind::Star(Vec::new()), pos), alias: None }];
            if self.is_mark("(") {
                let columns = self.name_list()?;
                let column =
                    |name| Item { expr: self.node(ExprKind::Column(vec![name]), pos), alias: None };
                items = columns.into_iter().map(column).collect();
            }
            let from = vec![From::Table { name, alias: None, pos }];
            let body = Body::Plain(Box::new(Plain { items, from, ..Plain::default() }));
            self.finish(Select { body, ..Select::default() }, None)
        };
        if !self.words(&["to", "stdout"]) {
            return Err(self.refuse(
                "COPY FROM and COPY to files are not supported",
                "Send messages with pgmq.send_batch(); read them with COPY (SELECT ...) TO STDOUT.",
            ));
        }
        let mut copy =
            CopyOut { query, format: CopyFormat::Text, header: false, delimiter: None, null: None };
        self.word("with");
        let parentheses = self.mark("(");
        while !matches!(self.peek(), TokenKind::End) && !self.is_mark(";") && !self.is_mark(")") {
            self.copy_option(&mut copy)?;
            self.mark(",");
        }
        if parentheses {
            self.expect(")")?;
        }
        Ok(Statement::CopyOut(copy))
    }

    fn copy_option(&mut self, copy: &mut CopyOut) -> Result<()> {
        let name = self.label()?;
        match name.as_str() {
            "format" => {
                let format = if let TokenKind::Text(_) = self.peek() {
                    self.text_literal()?
                } else {
                    self.label()?
                };
                copy.format = match format.to_ascii_lowercase().as_str() {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => CopyFormat::Binary,
                    other => {
                        return Err(PgError::new(
                            "22023",
                            format!("COPY format \"{other}\" not recognized"),
                        ));
                    }
                };
            }
            "csv" => copy.format = CopyFormat::Csv,
            "binary" => copy.format = CopyFormat::Binary,
            "header" => {
                copy.header = !self.word("false") && !self.word("off");
                if !self.word("true") {
                    self.word("on");
                }
            }
            "delimiter" => {
                self.word("as");
                copy.delimiter = self.text_literal()?.chars().next();
            }
            "null" => {
                self.word("as");
                copy.null = Some(self.text_literal()?);
            }
            "encoding" => {
                self.text_literal()?;
            }
            _ => return Err(self.refuse(format!("COPY option \"{name}\" is not supported"), "")),
        }
        Ok(())
    }

    /// `DO [LANGUAGE plpgsql] $$ ... $$`.
    fn anonymous_block(&mut self) -> Result<Statement> {
        self.advance();
        let mut code = None;
        loop {
            if self.word("language") {
                let language = match self.peek() {
                    TokenKind::Text(_) => self.text_literal()?,
                    _ => self.label()?,
                };
                if language != "plpgsql" {
                    let message = format!("language \"{language}\" does not exist");
                    return Err(self.at_pos(PgError::new("42704", message), self.pos()));
                }
            } else if code.is_none() && matches!(self.peek(), TokenKind::Text(_)) {
                code = Some(self.text_literal()?);
            } else {
                break;
            }
        }
        let code = code.ok_or_else(|| self.unexpected())?;
        Ok(Statement::Do(Arc::new(block::parse(&code, self.work)?)))
    }

    /// CREATE, DROP, ALTER, COMMENT.
    fn definition(&mut self, word: &str) -> Result<Statement> {
        let create = word == "create";
        if self.is_word_at(1, "extension") && word != "comment" {
            return self.extension(word);
        }
        let schema = self.is_word_at(1, "schema")
            && (self.is_word_at(2, "pgmq") || self.is_word_at(5, "pgmq"));
        if create && schema {
            self.skip("create");
            return Ok(utility(
                "CREATE SCHEMA",
                Some(("42P06", "schema \"pgmq\" already exists, skipping".to_owned())),
            ));
        }
        if self.is_word_at(1, "database") && (create || word == "drop") {
            self.skip(word);
            let tag = if create { "CREATE DATABASE" } else { "DROP DATABASE" };
            let notice = "every database name shows the same queues".to_owned();
            return Ok(utility(tag, Some(("00000", notice))));
        }
        if word == "alter" && self.is_word_at(1, "table") {
            return self.alter_table();
        }
        let hint = "This server has queues only: SELECT pgmq.create('queue').";
        let what = if create {
            "tables, functions and other objects cannot be created here"
        } else {
            "there is nothing of this kind here"
        };
        Err(self
            .refuse(what, if word == "drop" { "SELECT pgmq.drop_queue('queue')." } else { hint }))
    }

    fn extension(&mut self, word: &str) -> Result<Statement> {
        self.advance();
        self.advance();
        let lenient = self.words(&["if", "not", "exists"]) || self.words(&["if", "exists"]);
        let name = self.label()?;
        if !EXTENSIONS.contains(&name.as_str()) {
            if word == "drop" && lenient {
                self.skip(word);
                let notice = format!("extension \"{name}\" does not exist, skipping");
                return Ok(utility("DROP EXTENSION", Some(("00000", notice))));
            }
            let message = format!("extension \"{name}\" is not available");
            return Err(
                PgError::new("0A000", message).hint("This server has the extension pgmq only.")
            );
        }
        self.skip(word);
        Ok(match word {
            "create" => {
                let notice = lenient
                    .then(|| ("42710", format!("extension \"{name}\" already exists, skipping")));
                utility("CREATE EXTENSION", notice)
            }
            "drop" => {
                let notice =
                    "the extension is part of this server; queues and messages are kept".to_owned();
                utility("DROP EXTENSION", Some(("00000", notice)))
            }
            _ => utility("ALTER EXTENSION", None),
        })
    }

    /// Passes over the rest of a statement.
    pub(super) fn skip(&mut self, word: &str) -> Statement {
        while self.peek() != &TokenKind::End && !self.is_mark(";") {
            self.advance();
        }
        let tag = match word {
            "vacuum" => "VACUUM",
            "analyze" => "ANALYZE",
            "checkpoint" => "CHECKPOINT",
            "reindex" => "REINDEX",
            _ => "LOAD",
        };
        utility(tag, None)
    }
}

fn utility(tag: &'static str, notice: Option<(&'static str, String)>) -> Statement {
    Statement::Utility(Utility { tag, notice })
}
