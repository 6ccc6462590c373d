//! Calls: functions of the queues, built-in ones, aggregates, set-returning ones.

use super::aggregate::aggregate_kind;
use super::{Allowed, Resolver, Result};
use crate::builtins::{self, Builtin, Gives, sets};
use crate::error::PgError;
use crate::functions::{self, Effect, Function, Returns};
use crate::parser::ast::Call;
use crate::plan::{CallTarget, Node, SetCall, SetFunction, Typed};
use crate::resolve::choose::{self, Accepts, Failure};
use crate::types::Type;
use crate::types::cast::{self};
use crate::types::names::{self, display};
use crate::types::value::{Column, Value};

/// A call that has been resolved: a value or a source of rows.
pub(super) enum Called {
    Value(Typed),
    Set(SetCall),
}

/// Arguments with their types settled as far as they are.
pub(super) struct Arguments {
    pub(super) values: Vec<Typed>,
    names: Vec<Option<String>>,
    positions: Vec<usize>,
}

impl Arguments {
    fn types(&self) -> Vec<Type> {
        self.values.iter().map(|value| value.ty).collect()
    }
}

impl Resolver<'_> {
    /// A call inside an expression.
    pub(super) fn call(&mut self, call: &Call) -> Result<Typed> {
        match self.called(call)? {
            Called::Value(value) => Ok(value),
            Called::Set(set) => self.set_in_expression(set, call.pos),
        }
    }

    /// Gives a set-returning function a place in the row.
    fn set_in_expression(&mut self, set: SetCall, pos: usize) -> Result<Typed> {
        let depth = self.depth().wrapping_sub(1);
        let outside = || PgError::new("0A000", "set-returning functions are not allowed here");
        let scope = self.scopes.last_mut().ok_or_else(outside)?;
        if scope.allowed != Allowed::Both || scope.conditional > 0 {
            let message = if scope.conditional > 0 {
                "set-returning functions are not allowed in CASE or COALESCE".to_owned()
            } else {
                format!("set-returning functions are not allowed in {}", scope.clause)
            };
            return Err(self.error("0A000", message, pos));
        }
        let ty = set.ty;
        let slot = scope.slots;
        scope.slots += 1;
        scope.sets.push((slot, set));
        Ok(Typed::new(Node::Column { depth, index: scope.width + slot }, ty))
    }

    pub(super) fn called(&mut self, call: &Call) -> Result<Called> {
        let (schema, name) = match call.name.as_slice() {
            [name] => (None, name.as_str()),
            [schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => {
                return Err(self.error(
                    "0A000",
                    "cross-database references are not implemented",
                    call.pos,
                ));
            }
        };
        if schema.is_none_or(|schema| schema == "pg_catalog") {
            if call.over.is_some() || name == "row_number" {
                return self.window(name, call).map(Called::Value);
            }
            if let Some(value) = self.special(name, call)? {
                return Ok(Called::Value(value));
            }
            if let Some(kind) = aggregate_kind(name) {
                return self.aggregate(kind, call).map(Called::Value);
            }
        }
        if call.star || call.distinct || call.filter.is_some() || !call.order_by.is_empty() {
            let message = format!(
                "{name}(*), DISTINCT, FILTER and ORDER BY are for aggregate functions only"
            );
            return Err(self.error("42809", message, call.pos));
        }
        if call.variadic {
            return Err(self
                .error("0A000", "VARIADIC is not supported", call.pos)
                .hint("Write the arguments one by one."));
        }
        let arguments = self.arguments(call)?;
        self.function(schema, name, arguments, call.pos)
    }

    pub(super) fn arguments(&mut self, call: &Call) -> Result<Arguments> {
        let mut arguments =
            Arguments { values: Vec::new(), names: Vec::new(), positions: Vec::new() };
        for argument in &call.arguments {
            if argument.name.is_none() && arguments.names.last().is_some_and(Option::is_some) {
                let message = "positional argument cannot follow named argument";
                return Err(self.error("42601", message, argument.value.pos));
            }
            if let Some(name) = &argument.name
                && arguments.names.iter().flatten().any(|have| have == name)
            {
                let message = format!("argument name \"{name}\" used more than once");
                return Err(self.error("42601", message, argument.value.pos));
            }
            let value = self.expr(&argument.value)?;
            // The place of `? = call f(?)`'s result, which drivers declare as void (`parse_func.c`).
            if value.ty == Type::Void && matches!(value.node, Node::Parameter(_)) {
                continue;
            }
            arguments.values.push(value);
            arguments.names.push(argument.name.clone());
            arguments.positions.push(argument.value.pos);
        }
        Ok(arguments)
    }

    fn function(
        &mut self,
        schema: Option<&str>,
        name: &str,
        arguments: Arguments,
        pos: usize,
    ) -> Result<Called> {
        let system = schema.is_none_or(|schema| schema == "pg_catalog")
            || (schema == Some("information_schema") && name == "_pg_expandarray");
        if system && name == "pg_sleep" {
            return self.sleep(arguments, pos);
        }
        if system && arguments.names.iter().all(Option::is_none) {
            self.catalog |= matches!(name, "to_regclass" | "pg_get_indexdef");
            let known = builtins::all().iter().any(|b| b.name == name)
                || sets::SETS.iter().any(|s| s.name == name);
            if known {
                return self.system_function(name, arguments, pos);
            }
        }
        let queues = schema.is_none() || matches!(schema, Some("pgmq" | "pgmq_public"));
        if queues {
            let candidates: Vec<&Function> = self.functions.named(schema, name).collect();
            self.takes |= candidates.iter().any(|function| function.effect == Effect::Takes);
            if !candidates.is_empty() {
                return self.queue_function(schema, name, &candidates, arguments, pos);
            }
        }
        if let Some(other) = schema.filter(|s| {
            !matches!(*s, "pgmq" | "pgmq_public" | "pg_catalog" | "public" | "information_schema")
        }) {
            return Err(self.error("3F000", format!("schema \"{other}\" does not exist"), pos));
        }
        Err(self.no_function(schema, name, &arguments, pos))
    }

    fn signature(schema: Option<&str>, name: &str, arguments: &Arguments) -> String {
        let shown: Vec<String> = arguments
            .values
            .iter()
            .zip(&arguments.names)
            .map(|(value, name)| match name {
                Some(name) => format!("{name} => {}", display(value.ty)),
                None => display(value.ty).to_owned(),
            })
            .collect();
        let dot = if schema.is_some() { "." } else { "" };
        format!("{}{dot}{name}({})", schema.unwrap_or(""), shown.join(", "))
    }

    pub(super) fn no_function(
        &self,
        schema: Option<&str>,
        name: &str,
        arguments: &Arguments,
        pos: usize,
    ) -> PgError {
        let message =
            format!("function {} does not exist", Self::signature(schema, name, arguments));
        let known = self.functions.named(schema, name).next().is_some()
            || builtins::all().iter().any(|b| b.name == name);
        let hint = match self.functions.nearest(name).filter(|_| !known && schema.is_some_and(|s| s.starts_with("pgmq"))) {
            Some(nearest) => format!("Perhaps you meant {nearest}."),
            None => "No function matches the given name and argument types. You might need to add explicit type casts.".to_owned(),
        };
        self.error("42883", message, pos).hint(hint)
    }

    fn not_unique(
        &self,
        schema: Option<&str>,
        name: &str,
        arguments: &Arguments,
        pos: usize,
    ) -> PgError {
        let message =
            format!("function {} is not unique", Self::signature(schema, name, arguments));
        let hint = "Could not choose a best candidate function. You might need to add explicit type casts.";
        self.error("42725", message, pos).hint(hint)
    }

    fn sleep(&mut self, arguments: Arguments, pos: usize) -> Result<Called> {
        let mut values = arguments.values;
        let (Some(seconds), true) = (values.pop(), values.is_empty()) else {
            return Err(self.error("42883", "function pg_sleep() does not exist", pos));
        };
        let arguments = vec![self.coerce(seconds, Type::Float8, pos)?];
        let target = CallTarget::Known(functions::SLEEP);
        let node = Node::Call { id: self.id(), target, arguments, composite: false };
        Ok(Called::Value(Typed::new(node, Type::Void)))
    }

    /// Built-in functions, set-returning ones among them.
    fn system_function(&mut self, name: &str, arguments: Arguments, pos: usize) -> Result<Called> {
        let types = arguments.types();
        let (found, plain) = builtin_candidates(name, types.len());
        let found_sets: Vec<&sets::SetBuiltin> = sets::SETS
            .iter()
            .filter(|s| s.name == name && s.arguments.len() == types.len())
            .collect();
        let mut candidates = plain;
        candidates.extend(found_sets.iter().map(|set| set.arguments.to_vec()));
        let chosen = choose::choose(&candidates, &types);
        let mut arguments = arguments;
        if let Some(wanted) = chosen.ok().and_then(|chosen| candidates.get(chosen)) {
            // Literals get their types here, where their places are known.
            let places = arguments.values.iter_mut().zip(&arguments.positions).zip(wanted);
            for ((value, position), accepts) in places {
                if let Accepts::Type(ty) = accepts {
                    *value = self.coerce(value.clone(), *ty, *position)?;
                }
            }
        }
        match chosen {
            Err(Failure::None) => Err(self.no_function(None, name, &arguments, pos)),
            Err(Failure::Many) => Err(self.not_unique(None, name, &arguments, pos)),
            Ok(chosen) => {
                match (found.get(chosen), found_sets.get(chosen.wrapping_sub(found.len()))) {
                    (Some(index), _) => {
                        self.builtin(*index, arguments.values, pos).map(Called::Value)
                    }
                    (None, Some(set)) => {
                        self.builtin_set(set, arguments.values, pos).map(Called::Set)
                    }
                    (None, None) => Err(self.no_function(None, name, &arguments, pos)),
                }
            }
        }
    }

    pub(super) fn builtin_named(
        &mut self,
        name: &str,
        values: Vec<Typed>,
        pos: usize,
    ) -> Result<Typed> {
        let positions = vec![pos; values.len()];
        let names = vec![None; values.len()];
        match self.system_function(name, Arguments { values, names, positions }, pos)? {
            Called::Value(value) => Ok(value),
            Called::Set(_) => {
                Err(self.error("0A000", "set-returning functions are not allowed here", pos))
            }
        }
    }

    fn builtin_set(
        &mut self,
        set: &sets::SetBuiltin,
        values: Vec<Typed>,
        pos: usize,
    ) -> Result<SetCall> {
        let mut arguments = Vec::with_capacity(values.len());
        let mut element = Type::Text;
        for (value, wanted) in values.into_iter().zip(set.arguments) {
            let value = match wanted {
                Accepts::Type(ty) => self.coerce(value, *ty, pos)?,
                _ => self.output_array(value, pos)?,
            };
            if let Type::Array(of) = value.ty {
                element = of.ty();
            }
            arguments.push(value);
        }
        let index = sets::SETS.iter().position(|have| std::ptr::eq(have, set)).unwrap_or(0);
        let ty = set.gives.unwrap_or(element);
        let composite = set.columns.len() > 1;
        let columns = if set.columns.is_empty() {
            vec![Column { name: set.name.to_owned(), ty }]
        } else {
            set.columns
                .iter()
                .map(|(name, ty)| Column { name: (*name).to_owned(), ty: *ty })
                .collect()
        };
        // `unnest` of composites spreads them.
        let (columns, composite) = match (ty, set.columns.is_empty()) {
            (Type::Composite(composite), true) => (composite.as_columns(), true),
            _ => (columns, composite),
        };
        let ty = if composite && !matches!(ty, Type::Composite(_)) { Type::Record } else { ty };
        Ok(SetCall { function: SetFunction::Builtin(index), arguments, ty, columns, composite })
    }

    fn output_array(&mut self, value: Typed, pos: usize) -> Result<Typed> {
        if value.ty == Type::Unknown {
            return self.coerce(value, builtins::TEXTS, pos);
        }
        Ok(value)
    }

    /// A built-in function by its place in the table.
    pub(super) fn builtin(
        &mut self,
        index: usize,
        values: Vec<Typed>,
        pos: usize,
    ) -> Result<Typed> {
        let Some(Builtin { arguments: wanted, gives, .. }) = builtins::all().get(index) else {
            return Err(self.error("XX000", "no such function", pos));
        };
        let mut arguments = Vec::with_capacity(values.len());
        let (mut element, mut array) = (Type::Unknown, None);
        for value in &values {
            match value.ty {
                Type::Array(of) => array = Some(of),
                ty if ty != Type::Unknown => element = ty,
                _ => {}
            }
        }
        for (i, value) in values.into_iter().enumerate() {
            let accepts = wanted.get(i).or(wanted.last()).copied().unwrap_or(Accepts::Any);
            arguments.push(match (accepts, value.ty, array) {
                (Accepts::Type(ty), _, _) => self.coerce(value, ty, pos)?,
                (Accepts::AnyArray, Type::Unknown, _) => {
                    let ty = array
                        .map(Type::Array)
                        .or_else(|| names::array_of(element))
                        .unwrap_or(builtins::TEXTS);
                    self.coerce(value, ty, pos)?
                }
                (Accepts::AnyElement, ty, Some(of))
                    if ty == Type::Unknown || cast::implicit(ty, of.ty()) =>
                {
                    self.coerce(value, of.ty(), pos)?
                }
                _ => self.output(value, pos)?,
            });
        }
        let ty = match gives {
            Gives::Type(ty) => *ty,
            Gives::Array => array.map(Type::Array).unwrap_or(builtins::TEXTS),
        };
        Ok(Typed::new(Node::Builtin { index, arguments }, ty))
    }

    fn queue_function(
        &mut self,
        schema: Option<&str>,
        name: &str,
        candidates: &[&Function],
        arguments: Arguments,
        pos: usize,
    ) -> Result<Called> {
        let mut fitting: Vec<(&Function, Vec<usize>)> = Vec::new();
        for function in candidates {
            let Some(places) = placed(function, &arguments.names) else { continue };
            let twin =
                |(have, at): &(&Function, Vec<usize>)| have.id == function.id && *at == places;
            if !fitting.iter().any(twin) {
                fitting.push((function, places));
            }
        }
        let wanted: Vec<Vec<Accepts>> = fitting
            .iter()
            .map(|(function, places)| {
                places
                    .iter()
                    .filter_map(|at| function.arguments.get(*at))
                    .map(|a| Accepts::Type(a.ty))
                    .collect()
            })
            .collect();
        let chosen = match choose::choose(&wanted, &arguments.types()) {
            Ok(chosen) => chosen,
            Err(Failure::None) => return Err(self.no_function(schema, name, &arguments, pos)),
            Err(Failure::Many) => match self.by_content(&wanted, &arguments) {
                Some(chosen) => chosen,
                None => return self.late_choice(schema, name, &fitting, &wanted, arguments, pos),
            },
        };
        let Some((function, places)) = fitting.get(chosen) else {
            return Err(self.no_function(schema, name, &arguments, pos));
        };
        let full = self.completed(function, places, arguments)?;
        Ok(self.queue_call(CallTarget::Known(function.id), function, full))
    }

    /// Arguments in the order of the function, defaults filled in.
    fn completed(
        &mut self,
        function: &Function,
        places: &[usize],
        arguments: Arguments,
    ) -> Result<Vec<Typed>> {
        // An alias may have fewer arguments than what it stands for.
        let target = self.functions.by_id(function.id).unwrap_or(function);
        let mut given: Vec<Option<(Typed, usize)>> =
            target.arguments.iter().map(|_| None).collect();
        for ((value, at), pos) in arguments.values.into_iter().zip(places).zip(arguments.positions)
        {
            if let Some(place) = given.get_mut(*at) {
                *place = Some((value, pos));
            }
        }
        let mut full = Vec::with_capacity(given.len());
        for (i, (given, argument)) in given.into_iter().zip(target.arguments).enumerate() {
            full.push(match given {
                Some((value, pos)) => self.coerce(value, argument.ty, pos)?,
                None => {
                    let default =
                        function.arguments.get(i).and_then(|a| a.default).or(argument.default);
                    match default {
                        Some(default) => Typed::new(
                            Node::Value(super::text::input(argument.ty, default)?),
                            argument.ty,
                        ),
                        None => Typed::null(argument.ty),
                    }
                }
            });
        }
        Ok(full)
    }

    fn queue_call(
        &mut self,
        target: CallTarget,
        function: &Function,
        arguments: Vec<Typed>,
    ) -> Called {
        let ty = function.returns.ty();
        let composite = matches!(ty, Type::Composite(_) | Type::Record);
        if function.returns.is_set() {
            let columns = match function.returns {
                Returns::Table(columns) => columns
                    .iter()
                    .map(|(name, ty)| Column { name: (*name).to_owned(), ty: *ty })
                    .collect(),
                Returns::One(Type::Composite(composite))
                | Returns::Set(Type::Composite(composite)) => composite.as_columns(),
                Returns::One(ty) | Returns::Set(ty) => {
                    vec![Column { name: function.name.to_owned(), ty }]
                }
            };
            return Called::Set(SetCall {
                function: SetFunction::Queue(target),
                arguments,
                ty,
                columns,
                composite,
            });
        }
        let node = Node::Call { id: self.id(), target, arguments, composite };
        Called::Value(Typed::new(node, ty))
    }

    /// Postgres finds several forms that fit as well: literals say by their content which one is meant, and ids
    /// without a type are plain ids.
    fn by_content(&self, wanted: &[Vec<Accepts>], arguments: &Arguments) -> Option<usize> {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        // Headers before delays, so that NULL means no headers.
        let jsonb = |i: &usize| {
            wanted
                .get(*i)
                .map_or(0, |w| w.iter().filter(|a| **a == Accepts::Type(Type::Jsonb)).count())
        };
        order.sort_by_key(|i| std::cmp::Reverse(jsonb(i)));
        let fits = |i: &usize| {
            let wanted = wanted.get(*i)?;
            for (accepts, value) in wanted.iter().zip(&arguments.values) {
                let Accepts::Type(ty) = *accepts else { continue };
                let fine = match (&value.node, value.ty) {
                    (Node::Value(Value::Text(text)), Type::Unknown) => {
                        crate::run::eval::holds(text, ty, self.now)
                    }
                    (Node::Parameter(_), Type::Unknown) => {
                        matches!(ty, Type::Int8 | Type::Int4 | Type::Text)
                    }
                    (_, given) => cast::implicit(given, ty),
                };
                if !fine {
                    return None;
                }
            }
            Some(*i)
        };
        // A parameter in the place of headers or a delay can only be known later.
        let open = arguments.values.iter().enumerate().any(|(at, value)| {
            let parameter = matches!(value.node, Node::Parameter(_)) && value.ty == Type::Unknown;
            let json = wanted.iter().any(|w| {
                matches!(
                    w.get(at),
                    Some(Accepts::Type(Type::Jsonb | Type::Array(crate::types::Element::Jsonb)))
                )
            });
            let differs =
                wanted.iter().any(|w| w.get(at) != wanted.first().and_then(|first| first.get(at)));
            parameter && json && differs
        });
        if open { None } else { order.iter().find_map(fits) }
    }

    /// Leaves the choice to the values of the parameters, which are text until then.
    fn late_choice(
        &mut self,
        schema: Option<&str>,
        name: &str,
        fitting: &[(&Function, Vec<usize>)],
        wanted: &[Vec<Accepts>],
        arguments: Arguments,
        pos: usize,
    ) -> Result<Called> {
        let types = arguments.types();
        let takes = |wanted: &Vec<Accepts>| {
            wanted.iter().zip(&types).all(|(accepts, given)| matches!(accepts, Accepts::Type(ty) if cast::implicit(*given, *ty)))
        };
        let positional = arguments.names.iter().all(Option::is_none);
        let mut left: Vec<usize> =
            (0..wanted.len()).filter(|i| wanted.get(*i).is_some_and(takes)).collect();
        let jsonb = |i: &usize| {
            wanted
                .get(*i)
                .map_or(0, |w| w.iter().filter(|a| **a == Accepts::Type(Type::Jsonb)).count())
        };
        left.sort_by_key(|i| std::cmp::Reverse(jsonb(i)));
        let functions: Vec<&Function> =
            left.iter().filter_map(|i| fitting.get(*i)).map(|(function, _)| *function).collect();
        let Some(first) = functions.first().filter(|_| {
            positional && arguments.values.iter().any(|v| matches!(v.node, Node::Parameter(_)))
        }) else {
            return Err(self.not_unique(schema, name, &arguments, pos));
        };
        if functions
            .iter()
            .any(|f| f.returns.ty() != first.returns.ty() || f.arguments.len() != types.len())
        {
            return Err(self.not_unique(schema, name, &arguments, pos));
        }
        let mut values = Vec::with_capacity(types.len());
        for (at, value) in arguments.values.into_iter().enumerate() {
            let all: Vec<Type> =
                functions.iter().filter_map(|f| f.arguments.get(at)).map(|a| a.ty).collect();
            let same = all.iter().all(|ty| Some(ty) == all.first());
            let ty = if same { all.first().copied().unwrap_or(Type::Text) } else { Type::Text };
            let settled = value.ty != Type::Unknown && !same;
            values.push(if settled { value } else { self.coerce(value, ty, pos)? });
        }
        let candidates =
            functions.iter().map(|f| (f.id, f.arguments.iter().map(|a| a.ty).collect())).collect();
        Ok(self.queue_call(CallTarget::ByContent(candidates), first, values))
    }

    /// Functions whose types follow rules of their own.
    fn special(&mut self, name: &str, call: &Call) -> Result<Option<Typed>> {
        let pos = call.pos;
        let typed = match name {
            "coalesce" | "greatest" | "least" => {
                let exprs = self.conditional(|resolver| {
                    call.arguments
                        .iter()
                        .map(|a| Ok((resolver.expr(&a.value)?, a.value.pos)))
                        .collect::<Result<Vec<_>>>()
                })?;
                let (parts, ty) = self.same_type(exprs, &name.to_uppercase(), pos)?;
                let node = match name {
                    "coalesce" => Node::Coalesce(parts),
                    other => Node::Extreme(parts, other == "greatest"),
                };
                Typed::new(node, ty)
            }
            "nullif" => {
                let [a, b] = call.arguments.as_slice() else { return Ok(None) };
                let (a, b) = (self.expr(&a.value)?, self.expr(&b.value)?);
                let a = self.output(a, pos)?;
                let ty = a.ty;
                let equal = self.binary("=", a.clone(), b, pos)?;
                Typed::new(
                    Node::Case { arms: vec![(equal, Typed::null(ty))], otherwise: Box::new(a) },
                    ty,
                )
            }
            "pg_typeof" => {
                let [argument] = call.arguments.as_slice() else { return Ok(None) };
                let ty = self.expr(&argument.value)?.ty;
                self.catalog = true;
                let oid = i64::from(crate::types::oid::of_type(ty));
                Typed::new(Node::Value(Value::Int(oid)), Type::Regtype)
            }
            "make_interval" => self.make_interval(call)?,
            "to_jsonb" | "to_json" | "row_to_json" => {
                let [argument] = call.arguments.as_slice() else { return Ok(None) };
                let value = self.expr(&argument.value)?;
                self.json_of(name, value, pos)?
            }
            _ => return Ok(None),
        };
        Ok(Some(typed))
    }

    /// Rows with known names become objects with these names.
    fn json_of(&mut self, name: &str, value: Typed, pos: usize) -> Result<Typed> {
        let known = matches!(&value.node, Node::Row(_, names) if !names.is_empty());
        let set = matches!(value.node, Node::Column { .. }) && value.ty == Type::Record;
        let Some(fields) = self.fields(&value).filter(|_| known || set) else {
            let values = vec![value];
            return self.builtin_named(name, values, pos);
        };
        let mut pairs = Vec::with_capacity(fields.len() * 2);
        for (field, _) in fields {
            pairs.push(Typed::new(Node::Value(Value::Text(field.clone())), Type::Text));
            let part = self.field(value.clone(), &field, pos)?;
            pairs.push(self.json_part(part, pos)?);
        }
        let build = if name == "to_jsonb" { "jsonb_build_object" } else { "json_build_object" };
        self.builtin_named(build, pairs, pos)
    }

    pub(super) fn json_part(&mut self, part: Typed, pos: usize) -> Result<Typed> {
        if matches!(&part.node, Node::Row(_, names) if !names.is_empty()) {
            self.json_of("to_jsonb", part, pos)
        } else {
            Ok(part)
        }
    }

    fn make_interval(&mut self, call: &Call) -> Result<Typed> {
        const NAMES: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
        let zero = |i: usize| {
            let (value, ty) = if i == 6 {
                (Value::Float(0.0), Type::Float8)
            } else {
                (Value::Int(0), Type::Int4)
            };
            Typed::new(Node::Value(value), ty)
        };
        let mut values: Vec<Typed> = (0..NAMES.len()).map(zero).collect();
        for (i, argument) in call.arguments.iter().enumerate() {
            let at = match &argument.name {
                None => Some(i),
                Some(name) => NAMES.iter().position(|have| have == name),
            };
            let value = self.expr(&argument.value)?;
            match at.and_then(|at| values.get_mut(at)) {
                Some(place) => *place = value,
                None => {
                    return Err(self.error(
                        "42883",
                        "function make_interval with these arguments does not exist",
                        call.pos,
                    ));
                }
            }
        }
        self.builtin_named("make_interval", values, call.pos)
    }
}

/// Places in the table, and what each takes for this many arguments.
fn builtin_candidates(name: &str, count: usize) -> (Vec<usize>, Vec<Vec<Accepts>>) {
    let mut found = Vec::new();
    let mut candidates = Vec::new();
    for (index, builtin) in
        builtins::all().iter().enumerate().filter(|(_, builtin)| builtin.name == name)
    {
        let mut wanted = builtin.arguments.clone();
        if builtin.variadic {
            while wanted.len() < count {
                wanted.extend(builtin.arguments.last().copied());
            }
        }
        if wanted.len() == count {
            found.push(index);
            candidates.push(wanted);
        }
    }
    (found, candidates)
}

/// The place among the function's arguments of each given one; None if they do not fit.
fn placed(function: &Function, names: &[Option<String>]) -> Option<Vec<usize>> {
    let mut places = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let at = match name {
            None => i,
            Some(name) => function.arguments.iter().position(|argument| argument.name == name)?,
        };
        if at >= function.arguments.len() || places.contains(&at) {
            return None;
        }
        places.push(at);
    }
    let complete = function
        .arguments
        .iter()
        .enumerate()
        .all(|(i, a)| a.default.is_some() || places.contains(&i));
    complete.then_some(places)
}
