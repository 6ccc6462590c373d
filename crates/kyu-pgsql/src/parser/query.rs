//! SELECT, VALUES, WITH, FROM.

use super::{NEEDS_AS, Parser, Result, is_reserved};
use crate::parser::ast::{
    Alias, Body, Call, CallArgument, Cte, Distinct, Expr, ExprKind, From, Item, JoinKind, Literal,
    On, Order, Plain, Select, SetOp,
};
use crate::parser::lexer::TokenKind;

impl Parser<'_> {
    /// True if a query begins here, behind any number of parentheses.
    pub(super) fn starts_query(&self) -> bool {
        let mut ahead = 0;
        while self.is_mark_at(ahead, "(") {
            ahead += 1;
        }
        ["select", "with", "values", "table"].iter().any(|word| self.is_word_at(ahead, word))
    }

    pub(super) fn query(&mut self) -> Result<Select> {
        self.deeper(|parser| {
            let outer = std::mem::replace(&mut parser.highest, 0);
            let mut select = Select::default();
            if parser.word("with") {
                select.recursive = parser.word("recursive");
                select.with = parser.list(Self::cte)?;
            }
            let body = parser.set_expression(0)?;
            // `(SELECT ... LIMIT 1)` keeps its own clauses.
            select.body = body;
            parser.tail(&mut select)?;
            // As an expression it stands above all that it contains, and it weighs more on the stack.
            parser.above(parser.highest + 3)?;
            parser.highest = parser.highest.max(outer);
            Ok(select)
        })
    }

    fn cte(&mut self) -> Result<Cte> {
        let name = self.name()?;
        let columns = if self.is_mark("(") { self.name_list()? } else { Vec::new() };
        self.expect_word("as")?;
        if self.word("not") {
            self.expect_word("materialized")?;
        } else {
            self.word("materialized");
        }
        self.expect("(")?;
        if ["insert", "update", "delete", "merge"].iter().any(|word| self.is_word(word)) {
            return Err(self.refuse(
                "data-modifying statements in WITH are not supported",
                "Call pgmq's functions in the WITH query: SELECT * FROM pgmq.pop('queue').",
            ));
        }
        let query = self.query()?;
        self.expect(")")?;
        Ok(Cte { name, columns, query })
    }

    /// UNION and EXCEPT bind alike (0), INTERSECT tighter (1).
    fn set_expression(&mut self, level: u8) -> Result<Body> {
        let mut left = if level == 0 { self.set_expression(1)? } else { self.select_body()? };
        loop {
            let op = match (level, self.peek()) {
                (0, TokenKind::Word(word)) if word == "union" => SetOp::Union,
                (0, TokenKind::Word(word)) if word == "except" => SetOp::Except,
                (1, TokenKind::Word(word)) if word == "intersect" => SetOp::Intersect,
                _ => return Ok(left),
            };
            self.advance();
            // What walks the tree needs more of the stack for a query than for an expression.
            self.above(self.highest + 2)?;
            let all = self.word("all");
            if !all {
                self.word("distinct");
            }
            let right = if level == 0 { self.set_expression(1)? } else { self.select_body()? };
            let side = |body| Box::new(Select { body, ..Select::default() });
            left = Body::Set { op, all, left: side(left), right: side(right) };
        }
    }

    fn select_body(&mut self) -> Result<Body> {
        if self.mark("(") {
            let query = self.query()?;
            self.expect(")")?;
            return Ok(Body::Nested(Box::new(query)));
        }
        if self.word("values") {
            let rows = self.list(|parser| {
                parser.expect("(")?;
                let row = parser.list(Self::expression_or_default)?;
                parser.expect(")")?;
                Ok(row)
            })?;
            if let Some(first) = rows.first() {
                let width = first.len();
                if rows.iter().any(|row| row.len() != width) {
                    return Err(crate::error::PgError::new(
                        "42601",
                        "VALUES lists must all be the same length",
                    ));
                }
            }
            return Ok(Body::Values(rows));
        }
        if self.is_word("table") {
            let pos = self.pos();
            self.advance();
            let name = self.qualified()?;
            let star = Item { expr: self.node(ExprKind::Star(Vec::new()), pos), alias: None };
            let from = vec![From::Table { name, alias: None, pos }];
            return Ok(Body::Plain(Box::new(Plain {
                items: vec![star],
                from,
                ..Plain::default()
            })));
        }
        self.expect_word("select")?;
        self.plain().map(|plain| Body::Plain(Box::new(plain)))
    }

    fn expression_or_default(&mut self) -> Result<Expr> {
        let pos = self.pos();
        if self.word("default") {
            return Ok(self.node(ExprKind::Default, pos));
        }
        self.expression()
    }

    fn plain(&mut self) -> Result<Plain> {
        let mut plain = Plain::default();
        if self.word("distinct") {
            plain.distinct = Distinct::Rows;
            if self.word("on") {
                self.expect("(")?;
                plain.distinct = Distinct::On(self.list(Self::expression)?);
                self.expect(")")?;
            }
        } else {
            self.word("all");
        }
        let empty =
            matches!(self.peek(), TokenKind::End | TokenKind::Mark(_)) && !self.starts_item();
        if !empty && !self.is_word("from") && !self.is_word("where") && !self.is_word("union") {
            plain.items = self.list(Self::item)?;
        }
        if self.is_word("into") {
            return Err(self
                .refuse("SELECT INTO is not supported", "There are no tables of your own here."));
        }
        if self.word("from") {
            plain.from = self.list(Self::table_item)?;
        }
        if self.word("where") {
            plain.filter = Some(self.expression()?);
        }
        if self.words(&["group", "by"]) {
            self.word("all");
            plain.group_by = self.list(Self::expression)?;
        }
        if self.word("having") {
            plain.having = Some(self.expression()?);
        }
        if self.is_word("window") {
            return Err(self.window());
        }
        Ok(plain)
    }

    pub(super) fn window(&self) -> crate::error::PgError {
        self.refuse(
            "of window functions, only row_number() OVER (PARTITION BY ... ORDER BY ...) is supported",
            "Read the rows and number them in the client.",
        )
    }

    fn starts_item(&self) -> bool {
        !self.is_mark(")")
            && !self.is_mark(";")
            && !self.is_mark(",")
            && self.peek() != &TokenKind::End
    }

    pub(super) fn item(&mut self) -> Result<Item> {
        let pos = self.pos();
        if self.mark("*") {
            return Ok(Item { expr: self.node(ExprKind::Star(Vec::new()), pos), alias: None });
        }
        let expr = self.expression()?;
        let alias = if self.word("as") {
            Some(self.label()?)
        } else {
            match self.peek() {
                TokenKind::Word(word) if !NEEDS_AS.contains(&word.as_str()) => Some(self.label()?),
                TokenKind::Quoted(_) => Some(self.label()?),
                _ => None,
            }
        };
        Ok(Item { expr, alias })
    }

    /// ORDER BY, LIMIT, OFFSET, FETCH, FOR UPDATE.
    fn tail(&mut self, select: &mut Select) -> Result<()> {
        if self.words(&["order", "by"]) {
            select.order_by = self.order_list()?;
        }
        loop {
            if self.word("limit") {
                select.limit = if self.word("all") { None } else { Some(self.expression()?) };
            } else if self.word("offset") {
                select.offset = Some(self.expression()?);
                if !self.word("rows") {
                    self.word("row");
                }
            } else if self.is_word("fetch")
                && (self.is_word_at(1, "first") || self.is_word_at(1, "next"))
            {
                self.fetch_first(select)?;
            } else if self.is_word("for") {
                return Err(self.refuse(
                    "SELECT FOR UPDATE and FOR SHARE are not supported",
                    "pgmq.read() hides messages from others until their visibility timeout ends.",
                ));
            } else {
                return Ok(());
            }
        }
    }

    /// `FETCH FIRST n ROWS ONLY`.
    fn fetch_first(&mut self, select: &mut Select) -> Result<()> {
        self.advance();
        self.advance();
        let pos = self.pos();
        select.limit = Some(if self.is_word("row") || self.is_word("rows") {
            self.node(ExprKind::Literal(Literal::Integer("1".to_owned())), pos)
        } else {
            self.primary()?
        });
        if !self.word("rows") {
            self.expect_word("row")?;
        }
        self.expect_word("only")
    }

    pub(super) fn order_list(&mut self) -> Result<Vec<Order>> {
        self.list(|parser| {
            let expr = parser.expression()?;
            let descending = if parser.word("desc") {
                true
            } else {
                parser.word("asc");
                false
            };
            let mut nulls_first = descending;
            if parser.word("nulls") {
                nulls_first = parser.word("first");
                if !nulls_first {
                    parser.expect_word("last")?;
                }
            }
            Ok(Order { expr, descending, nulls_first })
        })
    }

    /// A table with its joins.
    pub(super) fn table_item(&mut self) -> Result<From> {
        self.deeper(|parser| {
            let mut left = parser.table_primary()?;
            loop {
                let natural = parser.word("natural");
                let cross = !natural && parser.words(&["cross", "join"]);
                let kind = if cross { Some(JoinKind::Inner) } else { parser.join_kind() };
                let Some(kind) = kind else {
                    return if natural { Err(parser.unexpected()) } else { Ok(left) };
                };
                parser.above(parser.highest)?;
                let right = parser.joined_item(natural || cross)?;
                let on = if natural {
                    On::Natural
                } else if cross {
                    On::Nothing
                } else if parser.word("using") {
                    On::Using(parser.name_list()?)
                } else {
                    parser.expect_word("on")?;
                    On::Condition(parser.expression()?)
                };
                left = From::Join {
                    left: Box::new(left),
                    right: Box::new(right),
                    kind,
                    on,
                    alias: None,
                };
            }
        })
    }

    /// The right side of a join; `a JOIN b JOIN c ON x ON y` nests to the right.
    fn joined_item(&mut self, closed: bool) -> Result<From> {
        let operand = self.table_primary()?;
        if closed || self.is_word("on") || self.is_word("using") {
            return Ok(operand);
        }
        self.deeper(|parser| {
            let Some(kind) = parser.join_kind() else { return Ok(operand) };
            let right = parser.joined_item(false)?;
            parser.expect_word("on")?;
            let on = On::Condition(parser.expression()?);
            Ok(From::Join {
                left: Box::new(operand),
                right: Box::new(right),
                kind,
                on,
                alias: None,
            })
        })
    }

    fn join_kind(&mut self) -> Option<JoinKind> {
        if self.word("join") || self.words(&["inner", "join"]) {
            return Some(JoinKind::Inner);
        }
        for (word, kind) in
            [("left", JoinKind::Left), ("right", JoinKind::Right), ("full", JoinKind::Full)]
        {
            if self.words(&[word, "join"]) || self.words(&[word, "outer", "join"]) {
                return Some(kind);
            }
        }
        None
    }

    fn table_primary(&mut self) -> Result<From> {
        let lateral = self.word("lateral");
        if self.is_mark("(") {
            if self.starts_query() {
                self.advance();
                let query = Box::new(self.query()?);
                self.expect(")")?;
                return Ok(From::Query { query, lateral, alias: self.alias()? });
            }
            self.advance();
            let mut inner = self.table_item()?;
            self.expect(")")?;
            let given = self.alias()?;
            if let From::Join { alias, .. } = &mut inner {
                *alias = given;
            }
            return Ok(inner);
        }
        if self.is_word("rows") && self.is_word_at(1, "from") {
            return Err(self.refuse("ROWS FROM is not supported", "Name each function in FROM."));
        }
        self.word("only");
        let pos = self.pos();
        let Some(function) = self.special_function()? else {
            // Words that are reserved but for functions.
            let reserved = ["left", "right", "current_schema"].iter().any(|w| self.is_word(w));
            let name = match reserved && self.is_mark_at(1, "(") {
                true => vec![self.label()?],
                false => self.function_name()?,
            };
            if self.is_mark("(") {
                let call = self.call(name, pos)?;
                return self.function_item(call);
            }
            if name.len() == 1 && name.first().is_some_and(|word| is_reserved(word)) {
                return Err(self.unexpected());
            }
            self.mark("*");
            return Ok(From::Table { name, alias: self.alias()?, pos });
        };
        match *function.kind {
            ExprKind::Call(call) => self.function_item(call),
            // `FROM current_user`, `FROM cast(...)`: one row of one value.
            _ => {
                Err(self
                    .refuse("this expression cannot stand in FROM", "Put it into a sub-select."))
            }
        }
    }

    fn function_item(&mut self, call: Call) -> Result<From> {
        let ordinality = self.words(&["with", "ordinality"]);
        Ok(From::Function { call: Box::new(call), ordinality, alias: self.alias()? })
    }

    fn alias(&mut self) -> Result<Option<Alias>> {
        let name = if self.word("as") {
            if self.is_mark("(") { String::new() } else { self.label()? }
        } else {
            match self.peek() {
                TokenKind::Word(word) if !is_reserved(word) => self.label()?,
                TokenKind::Quoted(_) => self.label()?,
                _ => return Ok(None),
            }
        };
        let mut alias = Alias { name, columns: Vec::new(), types: Vec::new() };
        if self.mark("(") {
            let columns = self.list(|parser| {
                let name = parser.name()?;
                let typed = !parser.is_mark(",") && !parser.is_mark(")");
                let ty = if typed { Some(parser.type_name()?) } else { None };
                Ok((name, ty))
            })?;
            self.expect(")")?;
            for (name, ty) in columns {
                alias.columns.push(name);
                if let Some(ty) = ty {
                    alias.types.push(crate::types::names::to_type(&ty, self.text)?);
                }
            }
        }
        Ok(Some(alias))
    }

    /// Arguments of a function, after `(`.
    pub(super) fn arguments(&mut self, call: &mut Call) -> Result<()> {
        if self.mark(")") {
            return Ok(());
        }
        if self.is_mark("*") && self.is_mark_at(1, ")") {
            self.advance();
            self.advance();
            call.star = true;
            return Ok(());
        }
        call.distinct = self.word("distinct");
        if !call.distinct {
            self.word("all");
        }
        let mut height = 0;
        loop {
            call.variadic |= self.word("variadic");
            let named = matches!(self.peek(), TokenKind::Word(_) | TokenKind::Quoted(_))
                && (self.is_mark_at(1, "=>") || self.is_mark_at(1, ":="));
            let name = if named { Some(self.label()?) } else { None };
            if named {
                self.advance();
            }
            call.arguments.push(CallArgument { name, value: self.expression()? });
            height = height.max(self.height);
            if !self.mark(",") {
                break;
            }
        }
        if self.words(&["order", "by"]) {
            call.order_by = self.order_list()?;
        }
        self.above(height)?;
        self.expect(")")
    }
}
