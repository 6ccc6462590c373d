//! Plans to rows. Everything asynchronous is here: calls of the host, and sub-selects.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::Session;
use super::aggregate;
use super::ast::{JoinKind, SetOp};
use super::builtins::sets::{self, MAX_ROWS, too_many_rows};
use super::cast::compare;
use super::catalog::{self, Facts};
use super::eval::{Context, Memory, Stop, registered, single};
use super::plan::{
    BodyPlan, DistinctPlan, Leaf, LeafKind, Node, Plan, SelectPlan, SetCall, SetFunction, SortKey,
    Source, Typed,
};
use crate::error::PgError;
use crate::host::{Host, ScanBounds};
use crate::types::Type;
use crate::value::{Column, Row, Value};

pub(super) type Result<T> = std::result::Result<T, PgError>;
type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Long queries let others run, and can be cancelled, after so many rows.
const ROWS_BETWEEN_YIELDS: u32 = 1_024;

pub(crate) struct Executor<'a, H> {
    pub(crate) host: &'a mut H,
    pub(crate) session: &'a mut dyn Session,
    pub(crate) parameters: &'a [Value],
    pub(crate) facts: Facts,
    pub(crate) now: i64,
    /// The current row of each query, the outermost first.
    stack: Vec<Row>,
    /// Results of WITH queries, and the plans of those not asked yet.
    ctes: BTreeMap<usize, Cte>,
    once: Memory,
    /// Rows evaluated.
    evaluated: u32,
}

#[derive(Clone)]
enum Cte {
    Waiting(Arc<Plan>, Option<(Arc<Plan>, bool)>),
    Done(Arc<Vec<Row>>),
}

impl<'a, H: Host> Executor<'a, H> {
    pub(crate) fn new(
        host: &'a mut H,
        session: &'a mut dyn Session,
        parameters: &'a [Value],
        facts: Facts,
    ) -> Self {
        let now = host.now();
        Self {
            host,
            session,
            parameters,
            facts,
            now,
            stack: Vec::new(),
            ctes: BTreeMap::new(),
            once: Memory::new(),
            evaluated: 0,
        }
    }

    /// Rows of a query, as wide as its columns.
    pub(crate) fn query<'b>(&'b mut self, plan: &'b Plan) -> Boxed<'b, Vec<Row>> {
        Box::pin(async move {
            for cte in &plan.ctes {
                self.ctes
                    .insert(cte.id, Cte::Waiting(Arc::clone(&cte.plan), cte.recursive.clone()));
            }
            let offset = self.count(plan.offset.as_ref(), "OFFSET", "2201X").await?.unwrap_or(0);
            let limit = self.count(plan.limit.as_ref(), "LIMIT", "2201W").await?;
            let end = limit.map(|limit| limit.saturating_add(offset));
            let early = if plan.order.is_empty() { end } else { None };
            let mut rows = match &plan.body {
                BodyPlan::Select(select) => self.select(select, plan, early, end).await?,
                BodyPlan::Values(table) => {
                    let mut rows = Vec::with_capacity(table.len());
                    // Their depth has a row like any other.
                    self.stack.push(Row::new());
                    for exprs in table {
                        rows.push(self.row(exprs).await?);
                    }
                    self.stack.pop();
                    rows
                }
                BodyPlan::Set { op, all, left, right, types } => {
                    self.set(*op, *all, left, right, types).await?
                }
                BodyPlan::Nested(inner) => self.query(inner).await?,
            };
            sort(&mut rows, &plan.order);
            if offset > 0 {
                rows.drain(..offset.min(rows.len()));
            }
            if let Some(limit) = limit {
                rows.truncate(limit);
            }
            for row in &mut rows {
                row.truncate(plan.columns.len());
            }
            Ok(rows)
        })
    }

    /// Puts names in the place of ids in columns of `regclass` and its kin.
    pub(crate) fn name_objects(&mut self, rows: &mut [Row], columns: &[Column]) {
        for (at, column) in columns.iter().enumerate() {
            if !matches!(column.ty, Type::Regclass | Type::Regtype | Type::Regproc) {
                continue;
            }
            for value in rows.iter_mut().filter_map(|row| row.get_mut(at)) {
                if let Value::Int(oid) = *value {
                    *value = Value::Text(registered(&self.facts, column.ty, oid));
                }
            }
        }
    }

    async fn count(
        &mut self,
        expr: Option<&Typed>,
        what: &str,
        code: &'static str,
    ) -> Result<Option<usize>> {
        let Some(expr) = expr else { return Ok(None) };
        self.stack.push(Row::new());
        let value = self.row(std::slice::from_ref(expr)).await;
        self.stack.pop();
        match value?.pop() {
            Some(Value::Int(count)) => match usize::try_from(count) {
                Ok(count) => Ok(Some(count)),
                Err(_) => Err(PgError::new(code, format!("{what} must not be negative"))),
            },
            _ => Ok(None),
        }
    }

    /// The values of expressions for the current rows. What has effects runs once for all of them.
    pub(super) async fn row(&mut self, exprs: &[Typed]) -> Result<Row> {
        let mut memory = Memory::new();
        self.row_with(exprs, &mut memory).await
    }

    /// Counts a row, and lets others run now and then.
    async fn breathe(&mut self) {
        self.evaluated = self.evaluated.wrapping_add(1);
        if self.evaluated.is_multiple_of(ROWS_BETWEEN_YIELDS) {
            tokio::task::yield_now().await;
        }
    }

    async fn row_with(&mut self, exprs: &[Typed], memory: &mut Memory) -> Result<Row> {
        self.breathe().await;
        loop {
            let mut context = Context {
                stack: &self.stack,
                parameters: self.parameters,
                memory,
                once: &self.once,
                now: self.now,
                session: &mut *self.session,
                facts: &self.facts,
                locals: Vec::new(),
            };
            match context.values(exprs) {
                Ok(values) => return Ok(values),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Call { id, overload, arguments }) => {
                    let rows = self.call(overload, arguments).await?;
                    memory.insert(id, Arc::new(rows));
                }
                Err(Stop::Query { id, plan, correlated }) => {
                    let rows = Arc::new(self.subquery(&plan).await?);
                    if correlated {
                        memory.insert(id, rows);
                    } else {
                        self.once.insert(id, rows);
                    }
                }
            }
        }
    }

    /// A query at its own depth: deeper rows step aside meanwhile.
    async fn subquery(&mut self, plan: &Plan) -> Result<Vec<Row>> {
        let aside = self.stack.split_off(plan.depth.min(self.stack.len()));
        // Sub-selects in a place without rows, such as LIMIT, stand at a depth that has none.
        while self.stack.len() < plan.depth {
            self.stack.push(Row::new());
        }
        let rows = self.query(plan).await;
        self.stack.truncate(plan.depth);
        self.stack.extend(aside);
        rows
    }

    async fn cte(&mut self, id: usize) -> Result<Arc<Vec<Row>>> {
        let Some(cte) = self.ctes.get(&id).cloned() else { return Ok(Arc::default()) };
        let (plan, recursive) = match cte {
            Cte::Done(rows) => return Ok(rows),
            Cte::Waiting(plan, recursive) => (plan, recursive),
        };
        let mut rows = self.subquery(&plan).await?;
        if let Some((step, all)) = recursive {
            if !all {
                unique(&mut rows);
            }
            let mut latest = rows.clone();
            while !latest.is_empty() {
                self.ctes.insert(id, Cte::Done(Arc::new(latest)));
                latest = self.subquery(&step).await?;
                if !all {
                    unique(&mut latest);
                    latest.retain(|row| !rows.iter().any(|have| same(have, row)));
                }
                rows.extend(latest.iter().cloned());
                if rows.len() > MAX_ROWS {
                    return Err(too_many_rows());
                }
            }
        }
        let rows = Arc::new(rows);
        self.ctes.insert(id, Cte::Done(Arc::clone(&rows)));
        Ok(rows)
    }

    async fn set(
        &mut self,
        op: SetOp,
        all: bool,
        left: &Plan,
        right: &Plan,
        types: &[Type],
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (plan, keep) in [(left, true), (right, op == SetOp::Union)] {
            let mut side = self.query(plan).await?;
            for row in &mut side {
                for ((value, column), ty) in row.iter_mut().zip(&plan.columns).zip(types) {
                    let old = std::mem::replace(value, Value::Null);
                    *value = super::cast::cast(old, column.ty, *ty, self.now)?;
                }
            }
            if keep {
                rows.append(&mut side);
                continue;
            }
            let wanted = op == SetOp::Intersect;
            rows.retain(|row| {
                let found = side.iter().position(|have| same(have, row));
                if let (Some(at), true) = (found, all) {
                    side.swap_remove(at);
                }
                found.is_some() == wanted
            });
        }
        if !all {
            unique(&mut rows);
        }
        Ok(rows)
    }

    async fn select(
        &mut self,
        select: &SelectPlan,
        plan: &Plan,
        early: Option<usize>,
        end: Option<usize>,
    ) -> Result<Vec<Row>> {
        self.stack.push(Row::new());
        let result = self.select_rows(select, plan, early, end).await;
        self.stack.truncate(plan.depth);
        result
    }

    async fn select_rows(
        &mut self,
        select: &SelectPlan,
        plan: &Plan,
        early: Option<usize>,
        end: Option<usize>,
    ) -> Result<Vec<Row>> {
        let bounds = self.bounds(select, plan, end).await?;
        let input = self.grouped_input(select, &bounds).await?;
        let input = self.numbered(select, plan.depth, input).await?;
        let moved = select.moved_columns(plan.depth);
        let distinct = !matches!(select.distinct, DistinctPlan::No);
        let early = if distinct { None } else { early };
        let mut rows: Vec<Row> = Vec::new();
        let mut seen: Vec<Row> = Vec::new();
        for row in input {
            if early.is_some_and(|early| rows.len() >= early) {
                break;
            }
            let mut row = row;
            row.resize(select.width + select.slots, Value::Null);
            if let Some(columns) = &moved {
                self.breathe().await;
                let values = columns
                    .iter()
                    .filter_map(|at| Some(std::mem::replace(row.get_mut(*at)?, Value::Null)));
                rows.push(values.collect());
                continue;
            }
            self.replace_row(plan.depth, row);
            let before = rows.len();
            self.project(select, plan.depth, &mut rows).await?;
            if let DistinctPlan::On(on) = &select.distinct {
                // Sorting comes later; with ORDER BY the first of each key is found after it.
                let key = self.row(on).await?;
                for row in rows.iter_mut().skip(before) {
                    row.extend(key.iter().cloned());
                }
            }
            if rows.len() > MAX_ROWS && !select.sets.is_empty() {
                return Err(too_many_rows());
            }
        }
        match &select.distinct {
            DistinctPlan::No => {}
            DistinctPlan::Rows => unique(&mut rows),
            DistinctPlan::On(on) => {
                sort(&mut rows, &plan.order);
                rows.retain(|row| {
                    let key: Row = row.iter().skip(row.len() - on.len()).cloned().collect();
                    let new = !seen.iter().any(|have| same(have, &key));
                    if new {
                        seen.push(key);
                    }
                    new
                });
            }
        }
        Ok(rows)
    }

    pub(super) fn replace_row(&mut self, depth: usize, row: Row) {
        if let Some(place) = self.stack.get_mut(depth) {
            *place = row;
        }
    }

    /// The select list for the current row: several rows if set-returning functions stand in it.
    async fn project(
        &mut self,
        select: &SelectPlan,
        depth: usize,
        into: &mut Vec<Row>,
    ) -> Result<()> {
        if select.sets.is_empty() {
            into.push(self.row(&select.items).await?);
            return Ok(());
        }
        let mut sets = Vec::with_capacity(select.sets.len());
        for (slot, set) in &select.sets {
            sets.push((*slot, set, self.set_rows(set).await?));
        }
        let length = sets.iter().map(|(_, _, rows)| rows.len()).max().unwrap_or(0);
        for i in 0..length {
            for (slot, set, rows) in &sets {
                let value = single(rows.get(i), set.composite, set.ty);
                if let Some(place) =
                    self.stack.get_mut(depth).and_then(|row| row.get_mut(select.width + slot))
                {
                    *place = value;
                }
            }
            into.push(self.row(&select.items).await?);
        }
        Ok(())
    }

    async fn set_rows(&mut self, set: &SetCall) -> Result<Vec<Row>> {
        let arguments = self.row(&set.arguments).await?;
        match &set.function {
            SetFunction::Queue(target) => {
                let memory = Memory::new();
                let mut context = Context {
                    stack: &self.stack,
                    parameters: self.parameters,
                    memory: &memory,
                    once: &self.once,
                    now: self.now,
                    session: &mut *self.session,
                    facts: &self.facts,
                    locals: Vec::new(),
                };
                match context.target(target, arguments) {
                    Ok((overload, arguments)) => self.call_host(overload, arguments).await,
                    Err(Stop::Error(error)) => Err(error),
                    Err(_) => Ok(Vec::new()),
                }
            }
            SetFunction::Builtin(index) => {
                let Some(builtin) = sets::SETS.get(*index) else { return Ok(Vec::new()) };
                if arguments.contains(&Value::Null) {
                    return Ok(Vec::new());
                }
                let mut rows = (builtin.run)(&arguments)?;
                if set.composite && builtin.columns.is_empty() {
                    // Composites spread over the columns.
                    for row in &mut rows {
                        *row = match row.pop() {
                            Some(Value::Row(_, values)) => values,
                            _ => vec![Value::Null; set.columns.len()],
                        };
                    }
                }
                Ok(rows)
            }
            SetFunction::Scalar => Ok(vec![match arguments.into_iter().next() {
                Some(Value::Row(_, values)) if set.composite => values,
                Some(value) if !set.composite => vec![value],
                _ => vec![Value::Null; set.columns.len()],
            }]),
        }
    }

    async fn bounds(
        &mut self,
        select: &SelectPlan,
        plan: &Plan,
        end: Option<usize>,
    ) -> Result<ScanBounds> {
        let mut bounds = ScanBounds::default();
        if let Some(expr) = &select.msg_id
            && let Some(Value::Int(id)) = self.row(std::slice::from_ref(expr)).await?.pop()
        {
            bounds.msg_id = Some(id);
        }
        let by_id = |key: &SortKey| {
            let column = select.items.get(key.index).map(|item| &item.node);
            !key.descending && column == Some(&Node::Column { depth: plan.depth, index: 0 })
        };
        let ordered = plan.order.is_empty() || matches!(plan.order.as_slice(), [key] if by_id(key));
        let plain = select.filters.is_empty()
            && select.grouping.is_none()
            && select.sets.is_empty()
            && select.windows.is_empty()
            && matches!(select.distinct, DistinctPlan::No)
            && select.from.len() == 1;
        if ordered && plain && matches!(select.from.first(), Some(Source::Leaf(_))) {
            bounds.limit = end.and_then(|end| u64::try_from(end).ok());
        }
        Ok(bounds)
    }

    /// Rows of FROM that WHERE lets pass.
    pub(super) async fn input(
        &mut self,
        select: &SelectPlan,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>> {
        let mut cache = BTreeMap::new();
        let mut rows = vec![Row::new()];
        let mut asked = 0;
        for (i, source) in select.from.iter().enumerate() {
            rows = match source {
                Source::Leaf(leaf) if i == 0 => self.first_leaf(leaf, bounds).await?,
                source => self.source(source, rows, bounds, &mut cache).await?,
            };
            let width = width_of(source);
            let last = i + 1 == select.from.len();
            rows =
                self.filtered(select, rows, asked, if last { usize::MAX } else { width }).await?;
            asked = width;
        }
        if select.from.is_empty() {
            rows = self.filtered(select, rows, 0, usize::MAX).await?;
        }
        Ok(rows)
    }

    /// Asks the conjuncts that need more than `from` values and at most `to`.
    async fn filtered(
        &mut self,
        select: &SelectPlan,
        rows: Vec<Row>,
        from: usize,
        to: usize,
    ) -> Result<Vec<Row>> {
        let due: Vec<&Typed> = select
            .filters
            .iter()
            .filter(|(needs, _)| *needs <= to && (*needs > from || from == 0))
            .map(|(_, typed)| typed)
            .collect();
        if due.is_empty() {
            return Ok(rows);
        }
        let mut kept = Vec::new();
        for row in rows {
            let depth = self.stack.len() - 1;
            self.replace_row(depth, row);
            let mut passes = true;
            for condition in &due {
                let value = self.row(std::slice::from_ref(*condition)).await?.pop();
                if value != Some(Value::Bool(true)) {
                    passes = false;
                    break;
                }
            }
            if passes {
                kept.push(self.stack.get_mut(depth).map(std::mem::take).unwrap_or_default());
            }
        }
        Ok(kept)
    }

    /// Extends each row by the values of a source.
    fn source<'b>(
        &'b mut self,
        source: &'b Source,
        rows: Vec<Row>,
        bounds: &'b ScanBounds,
        cache: &'b mut BTreeMap<usize, Arc<Vec<Row>>>,
    ) -> Boxed<'b, Vec<Row>> {
        Box::pin(async move {
            match source {
                Source::Leaf(leaf) => self.leaf(leaf, rows, bounds, cache).await,
                Source::Join { left, right, kind, on, width } => {
                    let lefts = self.source(left, rows, bounds, cache).await?;
                    if matches!(kind, JoinKind::Right | JoinKind::Full) {
                        return self
                            .outer_join(*kind, lefts, right, on.as_ref(), *width, bounds, cache)
                            .await;
                    }
                    let mut joined = Vec::new();
                    for row in lefts {
                        let candidates =
                            self.source(right, vec![row.clone()], bounds, cache).await?;
                        let before = joined.len();
                        self.on(on.as_ref(), candidates, &mut joined).await?;
                        if joined.len() == before && *kind == JoinKind::Left {
                            let mut row = row;
                            row.resize(*width, Value::Null);
                            joined.push(row);
                        }
                        if joined.len() > MAX_ROWS {
                            return Err(too_many_rows());
                        }
                    }
                    Ok(joined)
                }
            }
        })
    }

    /// Keeps the candidates for which the condition holds.
    async fn on(
        &mut self,
        on: Option<&Typed>,
        candidates: Vec<Row>,
        into: &mut Vec<Row>,
    ) -> Result<()> {
        let Some(on) = on else {
            into.extend(candidates);
            return Ok(());
        };
        let depth = self.stack.len() - 1;
        for row in candidates {
            self.replace_row(depth, row);
            if self.row(std::slice::from_ref(on)).await?.pop() == Some(Value::Bool(true)) {
                into.push(self.stack.get_mut(depth).map(std::mem::take).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// RIGHT and FULL: rows of the right side that nothing matched stand alone.
    #[expect(clippy::too_many_arguments, reason = "the parts of one join")]
    async fn outer_join(
        &mut self,
        kind: JoinKind,
        lefts: Vec<Row>,
        right: &Source,
        on: Option<&Typed>,
        width: usize,
        bounds: &ScanBounds,
        cache: &mut BTreeMap<usize, Arc<Vec<Row>>>,
    ) -> Result<Vec<Row>> {
        let start = offset_of(right);
        let rights = self.source(right, vec![vec![Value::Null; start]], bounds, cache).await?;
        let mut matched = vec![false; rights.len()];
        let mut joined = Vec::new();
        for left in lefts {
            let before = joined.len();
            for (right, matched) in rights.iter().zip(&mut matched) {
                let mut row = left.clone();
                row.extend(right.iter().skip(start).cloned());
                let found = joined.len();
                self.on(on, vec![row], &mut joined).await?;
                *matched |= joined.len() > found;
            }
            if joined.len() == before && kind == JoinKind::Full {
                let mut row = left;
                row.resize(width, Value::Null);
                joined.push(row);
            }
        }
        joined.extend(
            rights.into_iter().zip(matched).filter(|(_, matched)| !matched).map(|(row, _)| row),
        );
        Ok(joined)
    }

    /// Rows of the first source, which nothing stands in front of: asked once, so nothing is copied.
    async fn first_leaf(&mut self, leaf: &Leaf, bounds: &ScanBounds) -> Result<Vec<Row>> {
        let depth = self.stack.len() - 1;
        self.replace_row(depth, Row::new());
        let mut rows = Arc::unwrap_or_clone(self.leaf_rows(leaf, bounds).await?);
        if leaf.offset > 0 {
            for row in &mut rows {
                row.splice(0..0, std::iter::repeat_n(Value::Null, leaf.offset));
            }
        }
        Ok(rows)
    }

    async fn leaf(
        &mut self,
        leaf: &Leaf,
        rows: Vec<Row>,
        bounds: &ScanBounds,
        cache: &mut BTreeMap<usize, Arc<Vec<Row>>>,
    ) -> Result<Vec<Row>> {
        let mut extended = Vec::new();
        for row in rows {
            let own = match cache.get(&leaf.id) {
                Some(own) => Arc::clone(own),
                None => {
                    let depth = self.stack.len() - 1;
                    self.replace_row(depth, row.clone());
                    let own = self.leaf_rows(leaf, bounds).await?;
                    if !leaf.dependent {
                        cache.insert(leaf.id, Arc::clone(&own));
                    }
                    own
                }
            };
            if extended.len() + own.len() > MAX_ROWS && !row.is_empty() {
                return Err(too_many_rows());
            }
            for values in own.iter() {
                let mut row = row.clone();
                row.resize(leaf.offset, Value::Null);
                row.extend(values.iter().cloned());
                extended.push(row);
            }
        }
        Ok(extended)
    }

    async fn leaf_rows(&mut self, leaf: &Leaf, bounds: &ScanBounds) -> Result<Arc<Vec<Row>>> {
        let mut rows = match &leaf.kind {
            LeafKind::Relation(relation) => self.host.scan(relation, bounds).await?,
            LeafKind::Catalog(key) => catalog::rows(key, &self.facts, &*self.session),
            LeafKind::Cte(id) => return self.cte(*id).await,
            LeafKind::Query(plan) => self.subquery_here(plan).await?,
            LeafKind::Function(set) => self.set_rows(set).await?,
        };
        if leaf.ordinality {
            for (i, row) in rows.iter_mut().enumerate() {
                row.push(Value::Int(i64::try_from(i + 1).unwrap_or(i64::MAX)));
            }
        }
        Ok(Arc::new(rows))
    }

    /// A derived table sees the current row, if it is LATERAL.
    async fn subquery_here(&mut self, plan: &Plan) -> Result<Vec<Row>> {
        let depth = self.stack.len();
        let rows = self.query(plan).await;
        self.stack.truncate(depth);
        rows
    }

    pub(super) async fn grouped(
        &mut self,
        select: &SelectPlan,
        grouping: &super::plan::Grouping,
        input: Vec<Row>,
        counted: Option<u64>,
    ) -> Result<Vec<Row>> {
        let depth = self.stack.len() - 1;
        let mut groups = aggregate::Groups::new(&grouping.aggregates);
        if grouping.keys.is_empty() {
            groups.group(Vec::new(), &vec![Value::Null; select.width]);
        }
        groups.add_counted(counted.unwrap_or(0));
        for row in input {
            self.replace_row(depth, row.clone());
            let key = self.row(&grouping.keys).await?;
            let at = groups.group(key, &row);
            for (i, (_, aggregate)) in grouping.aggregates.iter().enumerate() {
                if let Some(filter) = &aggregate.filter
                    && self.row(std::slice::from_ref(filter)).await?.pop()
                        != Some(Value::Bool(true))
                {
                    continue;
                }
                let arguments = self.row(&aggregate.arguments).await?;
                let mut order = Vec::with_capacity(aggregate.order.len());
                for (expr, ..) in &aggregate.order {
                    order.extend(self.row(std::slice::from_ref(expr)).await?);
                }
                groups.add(at, i, arguments, order);
            }
        }
        let mut rows = Vec::new();
        for row in groups.finish(select.width + select.slots, select.width)? {
            if let Some(having) = &grouping.having {
                self.replace_row(depth, row.clone());
                if self.row(std::slice::from_ref(having)).await?.pop() != Some(Value::Bool(true)) {
                    continue;
                }
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// How many values a row has after this source.
fn width_of(source: &Source) -> usize {
    match source {
        Source::Leaf(leaf) => leaf.offset + leaf.width,
        Source::Join { width, .. } => *width,
    }
}

fn offset_of(source: &Source) -> usize {
    match source {
        Source::Leaf(leaf) => leaf.offset,
        Source::Join { left, .. } => offset_of(left),
    }
}

pub(super) fn same(a: &Row, b: &Row) -> bool {
    a.iter().zip(b).all(|(a, b)| !super::eval::is_distinct(a, b))
}

/// Keeps the first of equal rows. Rows that print the same are equal, so a set of texts does it in one pass.
fn unique(rows: &mut Vec<Row>) {
    let mut seen = std::collections::BTreeSet::new();
    rows.retain(|row| seen.insert(aggregate::key_text(row)));
}

pub(super) fn sort(rows: &mut [Row], keys: &[SortKey]) {
    rows.sort_by(|a, b| {
        for key in keys {
            let (Some(a), Some(b)) = (a.get(key.index), b.get(key.index)) else { continue };
            let order = order(a, b, key.descending, key.nulls_first);
            if order.is_ne() {
                return order;
            }
        }
        std::cmp::Ordering::Equal
    });
}

pub(super) fn order(
    a: &Value,
    b: &Value,
    descending: bool,
    nulls_first: bool,
) -> std::cmp::Ordering {
    match (*a == Value::Null, *b == Value::Null) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) if nulls_first => std::cmp::Ordering::Less,
        (true, false) => std::cmp::Ordering::Greater,
        (false, true) if nulls_first => std::cmp::Ordering::Greater,
        (false, true) => std::cmp::Ordering::Less,
        (false, false) if descending => compare(b, a),
        (false, false) => compare(a, b),
    }
}
