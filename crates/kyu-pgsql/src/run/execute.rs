//! Plans to rows. Everything asynchronous is here: calls of the host, and sub-selects.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::Session;
use crate::builtins::sets;
use crate::catalog::Facts;
use crate::error::PgError;
use crate::host::{Host, ScanBounds};
use crate::parser::ast::SetOp;
use crate::plan::{
    BodyPlan, CtePlan, DistinctPlan, Node, Plan, SelectPlan, SetCall, SetFunction, SortKey, Source,
    Typed,
};
use crate::run::aggregate;
use crate::run::eval::{Context, Memory, Stop, registered, single};
use crate::run::key;
use crate::run::sorting::sort_rows;
use crate::types::Type;
use crate::types::value::{Column, Row, Value};
use crate::work::{Work, row_bytes, value_bytes};

pub(crate) type Result<T> = std::result::Result<T, PgError>;
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

pub(crate) struct Executor<'a, H> {
    pub(crate) host: &'a mut H,
    pub(crate) session: &'a mut dyn Session,
    pub(crate) parameters: &'a [Value],
    pub(crate) facts: Facts,
    pub(crate) now: i64,
    /// The account of the statement.
    pub(crate) work: &'a mut Work,
    /// The current row of each query, the outermost first.
    pub(crate) stack: Vec<Row>,
    /// Results of WITH queries, and the plans of those not asked yet.
    ctes: BTreeMap<usize, CteState>,
    pub(crate) once: Memory,
    /// The facts of a leaf, by its query's depth and its offset, before it is read: a column,
    /// and the values that it must have.
    pub(crate) ahead: BTreeMap<(usize, usize), (usize, Value)>,
}

#[derive(Clone)]
enum CteState {
    Waiting(CtePlan),
    Done(Arc<Vec<Row>>),
}

/// The rest of a thread's stack that one query needs, without those inside it.
const QUERY_STACK_BYTES: usize = 256 << 10;

/// The size of the stack that is made when less is left.
const STACK_BYTES: usize = 2 << 20;

/// Goes on on another stack where that of the thread ends: how deep queries lie in each other is
/// bounded by [`Work::enter`], and what a future takes of the stack is the compiler's business.
struct OwnStack<F>(Pin<Box<F>>);

impl<F: Future> Future for OwnStack<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<F::Output> {
        stacker::maybe_grow(QUERY_STACK_BYTES, STACK_BYTES, || self.0.as_mut().poll(cx))
    }
}

impl<'a, H: Host> Executor<'a, H> {
    pub(crate) fn new(
        host: &'a mut H,
        session: &'a mut dyn Session,
        parameters: &'a [Value],
        facts: Facts,
        work: &'a mut Work,
    ) -> Self {
        let now = host.now();
        Self {
            host,
            session,
            parameters,
            facts,
            now,
            work,
            stack: Vec::new(),
            ctes: BTreeMap::new(),
            once: Memory::new(),
            ahead: BTreeMap::new(),
        }
    }

    /// Rows of a query, as wide as its columns. What it holds of the statement's memory when it
    /// returns is what these rows take.
    pub(crate) fn query<'b>(&'b mut self, plan: &'b Plan) -> Boxed<'b, Vec<Row>> {
        let rows = Box::pin(async move {
            self.work.enter()?;
            let mark = self.work.mark();
            // What a query around it knows ahead is about other leaves, perhaps of the same depth.
            let outer = std::mem::take(&mut self.ahead);
            let mut rows = self.ordered(plan).await?;
            self.ahead = outer;
            for row in &mut rows {
                row.truncate(plan.columns.len());
                self.work.breathe().await?;
            }
            self.work.keep(mark, &rows)?;
            self.work.leave();
            Ok(rows)
        });
        Box::pin(OwnStack(rows))
    }

    async fn ordered(&mut self, plan: &Plan) -> Result<Vec<Row>> {
        for cte in &plan.ctes {
            self.ctes.insert(cte.id, CteState::Waiting(cte.clone()));
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
        sort_rows(&mut rows, &plan.order, self.work).await?;
        if offset > 0 {
            rows.drain(..offset.min(rows.len()));
        }
        if let Some(limit) = limit {
            rows.truncate(limit);
        }
        Ok(rows)
    }

    /// Puts names in the place of ids in columns of `regclass` and its kin.
    pub(crate) async fn name_objects(
        &mut self,
        rows: &mut [Row],
        columns: &[Column],
    ) -> Result<()> {
        for (at, column) in columns.iter().enumerate() {
            if !matches!(column.ty, Type::Regclass | Type::Regtype | Type::Regproc) {
                continue;
            }
            for value in rows.iter_mut().filter_map(|row| row.get_mut(at)) {
                self.work.breathe().await?;
                if let Value::Int(oid) = *value {
                    *value = Value::Text(registered(&self.facts, column.ty, oid));
                    self.work.grow(value_bytes(value))?;
                }
            }
        }
        Ok(())
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
    /// The row counts as held until its reader goes back to a mark before it.
    pub(crate) async fn row(&mut self, exprs: &[Typed]) -> Result<Row> {
        self.work.breathe().await?;
        let mark = self.work.mark();
        let mut memory = Memory::new();
        loop {
            let mut context = self.context(&memory);
            match context.values(exprs) {
                Ok(values) => {
                    self.work.back_to(mark);
                    self.work.grow(row_bytes(&values))?;
                    return Ok(values);
                }
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

    /// True if all conditions hold for the current rows.
    pub(crate) async fn passes(&mut self, conditions: &[Typed]) -> Result<bool> {
        let mark = self.work.mark();
        for condition in conditions {
            let value = self.row(std::slice::from_ref(condition)).await?.pop();
            self.work.back_to(mark);
            if value != Some(Value::Bool(true)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn context<'b>(&'b mut self, memory: &'b Memory) -> Context<'b> {
        Context {
            stack: &self.stack,
            parameters: self.parameters,
            memory,
            once: &self.once,
            now: self.now,
            session: &mut *self.session,
            facts: &self.facts,
            work: &mut *self.work,
            locals: Vec::new(),
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

    /// Rows of a WITH query. Those that it reads are asked first, one after the other in the order
    /// in which they stand: a chain of any length needs no stack.
    pub(crate) async fn cte(&mut self, id: usize) -> Result<Arc<Vec<Row>>> {
        let mut wanted = vec![id];
        let mut seen = HashSet::from([id]);
        let mut at = 0;
        while let Some(next) = wanted.get(at).copied() {
            at += 1;
            if let Some(CteState::Waiting(cte)) = self.ctes.get(&next) {
                wanted.extend(cte.needs.iter().copied().filter(|need| seen.insert(*need)));
            }
            self.work.step()?;
        }
        // Ids grow in the order of the text, and a WITH query reads those before it.
        wanted.sort_unstable();
        for next in wanted {
            let Some(CteState::Waiting(cte)) = self.ctes.get(&next).cloned() else { continue };
            let rows = Arc::new(self.rounds(&cte).await?);
            self.ctes.insert(next, CteState::Done(rows));
        }
        match self.ctes.get(&id) {
            Some(CteState::Done(rows)) => Ok(Arc::clone(rows)),
            Some(CteState::Waiting(_)) | None => Ok(Arc::default()),
        }
    }

    /// A WITH query: once, or round after round until one adds nothing.
    async fn rounds(&mut self, cte: &CtePlan) -> Result<Vec<Row>> {
        let mut rows = self.subquery(&cte.plan).await?;
        let Some((step, all)) = &cte.recursive else { return Ok(rows) };
        let mut seen = HashSet::new();
        if !all {
            self.unique(&mut rows, &mut seen).await?;
        }
        let mut latest = rows.clone();
        while !latest.is_empty() {
            self.ctes.insert(cte.id, CteState::Done(Arc::new(latest)));
            latest = self.subquery(step).await?;
            if !all {
                self.unique(&mut latest, &mut seen).await?;
            }
            for row in &latest {
                Work::room(rows.len())?;
                self.work.grow(row_bytes(row))?;
                rows.push(row.clone());
            }
        }
        Ok(rows)
    }

    /// Keeps the rows that are new to a set, which then knows them.
    async fn unique(&mut self, rows: &mut Vec<Row>, seen: &mut HashSet<Vec<u8>>) -> Result<()> {
        let mut kept = Vec::new();
        for row in rows.drain(..) {
            self.work.breathe().await?;
            let key = key::of(&row);
            self.work.walk(key.len())?;
            self.work.grow(key.len())?;
            if seen.insert(key) {
                kept.push(row);
            }
        }
        *rows = kept;
        Ok(())
    }

    async fn set(
        &mut self,
        op: SetOp,
        all: bool,
        left: &Plan,
        right: &Plan,
        types: &[Type],
    ) -> Result<Vec<Row>> {
        let mut rows = self.side(left, types).await?;
        let side = self.side(right, types).await?;
        match op {
            SetOp::Union => {
                for row in side {
                    Work::room(rows.len())?;
                    rows.push(row);
                }
            }
            SetOp::Intersect | SetOp::Except => {
                self.matched(&mut rows, side, op == SetOp::Intersect, all).await?;
            }
        }
        if !all {
            self.unique(&mut rows, &mut HashSet::new()).await?;
        }
        Ok(rows)
    }

    /// One side of a set, in the types of the whole.
    async fn side(&mut self, plan: &Plan, types: &[Type]) -> Result<Vec<Row>> {
        let mut side = self.query(plan).await?;
        if plan.columns.iter().zip(types).all(|(column, ty)| column.ty == *ty) {
            return Ok(side);
        }
        for row in &mut side {
            self.work.breathe().await?;
            for ((value, column), ty) in row.iter_mut().zip(&plan.columns).zip(types) {
                let old = std::mem::replace(value, Value::Null);
                *value = crate::types::cast::cast(old, column.ty, *ty, self.now)?;
            }
        }
        Ok(side)
    }

    /// INTERSECT (rows that the other side has) or EXCEPT (rows that it has not). With ALL, each
    /// row of the other side stands for one.
    async fn matched(
        &mut self,
        rows: &mut Vec<Row>,
        side: Vec<Row>,
        wanted: bool,
        all: bool,
    ) -> Result<()> {
        let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
        for row in side {
            self.work.breathe().await?;
            let key = key::of(&row);
            self.work.walk(key.len())?;
            self.work.grow(key.len())?;
            *counts.entry(key).or_default() += 1;
        }
        let mut kept = Vec::new();
        for row in rows.drain(..) {
            self.work.breathe().await?;
            let found = match counts.get_mut(&key::of(&row)) {
                None | Some(0) => false,
                Some(count) => {
                    *count -= usize::from(all);
                    true
                }
            };
            if found == wanted {
                kept.push(row);
            }
        }
        *rows = kept;
        Ok(())
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
        for row in input {
            if early.is_some_and(|early| rows.len() >= early) {
                break;
            }
            let mut row = row;
            row.resize(select.width + select.slots, Value::Null);
            if let Some(columns) = &moved {
                self.work.breathe().await?;
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
        }
        match &select.distinct {
            DistinctPlan::No => {}
            DistinctPlan::Rows => self.unique(&mut rows, &mut HashSet::new()).await?,
            DistinctPlan::On(on) => {
                sort_rows(&mut rows, &plan.order, self.work).await?;
                self.first_of_each(&mut rows, on.len()).await?;
            }
        }
        Ok(rows)
    }

    /// Keeps the first row of each key; the keys stand at the ends of the rows.
    async fn first_of_each(&mut self, rows: &mut Vec<Row>, width: usize) -> Result<()> {
        let mut seen = HashSet::new();
        let mut kept = Vec::new();
        for row in rows.drain(..) {
            self.work.breathe().await?;
            let values = row.len().checked_sub(width).and_then(|from| row.get(from..));
            let key = key::of(values.unwrap_or_default());
            self.work.grow(key.len())?;
            if seen.insert(key) {
                kept.push(row);
            }
        }
        *rows = kept;
        Ok(())
    }

    pub(crate) fn replace_row(&mut self, depth: usize, row: Row) {
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
        let (mark, before) = (self.work.mark(), into.len());
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
            Work::room(into.len())?;
            into.push(self.row(&select.items).await?);
        }
        self.work.keep(mark, into.get(before..).unwrap_or_default())
    }

    pub(crate) async fn set_rows(&mut self, set: &SetCall) -> Result<Vec<Row>> {
        let mark = self.work.mark();
        let arguments = self.row(&set.arguments).await?;
        let rows = self.rows_of(set, arguments).await?;
        self.work.keep(mark, &rows)?;
        Ok(rows)
    }

    async fn rows_of(&mut self, set: &SetCall, arguments: Row) -> Result<Vec<Row>> {
        match &set.function {
            SetFunction::Queue(target) => {
                let memory = Memory::new();
                match self.context(&memory).target(target, arguments) {
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
                let mut rows = (builtin.run)(&arguments, self.work)?;
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
            SetFunction::UnnestAll => sets::unnest_all(&arguments, self.work),
            SetFunction::Records { many } => {
                sets::records(&arguments, &set.columns, *many, self.now, self.work)
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
        let plain = !select.filtered
            && select.grouping.is_none()
            && select.sets.is_empty()
            && select.windows.is_empty()
            && matches!(select.distinct, DistinctPlan::No)
            && select.from.len() == 1;
        let leaf = select.from.first().is_some_and(|item| matches!(item.source, Source::Leaf(_)));
        if ordered && plain && leaf {
            bounds.limit = end.and_then(|end| u64::try_from(end).ok());
        }
        Ok(bounds)
    }

    pub(crate) async fn grouped(
        &mut self,
        select: &SelectPlan,
        grouping: &crate::plan::Grouping,
        input: Vec<Row>,
        counted: Option<u64>,
    ) -> Result<Vec<Row>> {
        let depth = self.stack.len() - 1;
        let mark = self.work.mark();
        let mut groups = aggregate::Groups::new(&grouping.aggregates);
        if grouping.keys.is_empty() {
            groups.group(&[], &vec![Value::Null; select.width], self.work)?;
        }
        groups.add_counted(counted.unwrap_or(0));
        for row in input {
            self.work.breathe().await?;
            self.replace_row(depth, row);
            let before = self.work.mark();
            let key = self.row(&grouping.keys).await?;
            self.work.back_to(before);
            let current = self.stack.get(depth).map(Vec::as_slice).unwrap_or_default();
            let at = groups.group(&key, current, self.work)?;
            for (i, (_, aggregate)) in grouping.aggregates.iter().enumerate() {
                if !self.passes(aggregate.filter.as_slice()).await? {
                    continue;
                }
                let before = self.work.mark();
                let arguments = self.row(&aggregate.arguments).await?;
                let mut order = Vec::with_capacity(aggregate.order.len());
                for (expr, ..) in &aggregate.order {
                    order.extend(self.row(std::slice::from_ref(expr)).await?);
                }
                self.work.back_to(before);
                groups.add(at, i, arguments, order, self.work)?;
            }
        }
        let mut rows = Vec::new();
        let finished = groups.finish(select.width + select.slots, select.width, self.work).await?;
        for row in finished {
            self.replace_row(depth, row);
            if self.passes(grouping.having.as_slice()).await? {
                rows.push(self.stack.get_mut(depth).map(std::mem::take).unwrap_or_default());
            }
        }
        self.work.keep(mark, &rows)?;
        Ok(rows)
    }
}
