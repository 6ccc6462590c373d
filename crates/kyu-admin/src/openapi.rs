//! The OpenAPI 3.1 document, made from the table of operations and the types that they parse.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::ProblemBody;
use crate::operation::Operation;
use crate::operations::OPERATIONS;
use crate::problem::Code;

const SCHEMAS: &str = "/components/schemas";
/// Put behind the name of a type whose answers differ from its requests.
const ANSWER_SUFFIX: &str = "Answer";

/// The document. It is the same for every caller.
pub(crate) fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(build);
    &DOCUMENT
}

fn build() -> Value {
    let mut requests = generator(SchemaSettings::for_deserialize);
    let mut answers = generator(SchemaSettings::for_serialize);
    let mut paths = Map::new();
    let problem = answers.subschema_for::<ProblemBody>();
    for operation in OPERATIONS {
        let described = describe(operation, &mut requests, &mut answers);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        let method = operation.method.as_str().to_ascii_lowercase();
        if let Value::Object(path) = path {
            path.insert(method, described);
        }
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kyu admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{}, { "basic": [] }, { "sigv4": [] }],
        "paths": paths,
        "components": {
            "responses": {
                "Problem": {
                    "description": "Not carried out.",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Access key id and secret.",
                },
                "sigv4": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature Version 4 with the access key, any service.",
                },
            },
        },
    });
    let schemas = join(requests.take_definitions(true), answers, &mut document);
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert("schemas".to_owned(), schemas);
    }
    document
}

/// The operations that read one thing with an etag.
const VERSIONED: [&str; 3] = ["get_queue", "get_exchange", "get_schedule"];
/// The description of `If-Match`.
const IF_MATCH: &str = "Only if one of these quoted etags, or with `*` anything, is there.";

const ABOUT: &str = "Everything a Kyu server does, over HTTP and JSON. Without configured \
    credentials it serves its own machine; with them, HTTP Basic or AWS SigV4 with the same key \
    pair. Times are Unix milliseconds (`_at_ms`), lengths of time milliseconds (`_ms`), sizes bytes \
    (`_bytes`). Requests refuse fields that they do not know; answers may get new ones. Whatever \
    takes GET takes HEAD.";

fn generator(contract: fn(SchemaSettings) -> SchemaSettings) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
        settings.transforms.push(Box::new(RecursiveTransform(limit_by_type)));
    });
    contract(settings).into_generator()
}

/// A number without limits of its own has those of its type.
fn limit_by_type(schema: &mut Schema) {
    let most = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => u64::from(u32::MAX),
        Some("uint64") => u64::MAX,
        _ => return,
    };
    schema.as_object_mut().map(|fields| fields.entry("maximum").or_insert_with(|| most.into()));
}

/// The definitions of requests and of answers together. A type that is different in the two gets
/// another name in answers.
fn join(
    mut requests: Map<String, Value>,
    mut answers: SchemaGenerator,
    document: &mut Value,
) -> Value {
    let mut answers = answers.take_definitions(true);
    for definition in answers.values_mut() {
        open(definition);
    }
    // A type that refers to a renamed one differs by that, too: until nothing changes.
    let mut renamed: Vec<String> = Vec::new();
    loop {
        let differs = |name: &String, definition: &Value| {
            !renamed.contains(name)
                && requests
                    .get(name)
                    .is_some_and(|one| one != definition || refers(definition, &renamed))
        };
        let more: Vec<String> = answers
            .iter()
            .filter(|(name, definition)| differs(name, definition))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        renamed.extend(more);
    }
    for (name, mut definition) in answers {
        rename(&mut definition, &renamed);
        let name = if renamed.contains(&name) { format!("{name}{ANSWER_SUFFIX}") } else { name };
        requests.insert(name, definition);
    }
    let operations = document.get_mut("paths").and_then(Value::as_object_mut);
    for path in operations.into_iter().flat_map(Map::values_mut) {
        for operation in path.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(responses) = operation.get_mut("responses") {
                rename(responses, &renamed);
            }
        }
    }
    Value::Object(requests)
}

/// Answers may get new fields without a new version of the API.
fn open(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
                fields.remove("additionalProperties");
            }
            fields.values_mut().for_each(open);
        }
        Value::Array(items) => items.iter_mut().for_each(open),
        _ => {}
    }
}

fn reference(name: &str) -> String {
    format!("#{SCHEMAS}/{name}")
}

fn refers(schema: &Value, names: &[String]) -> bool {
    match schema {
        Value::String(text) => names.iter().any(|name| *text == reference(name)),
        Value::Array(items) => items.iter().any(|item| refers(item, names)),
        Value::Object(fields) => fields.values().any(|field| refers(field, names)),
        _ => false,
    }
}

fn rename(schema: &mut Value, names: &[String]) {
    match schema {
        Value::String(text) if names.iter().any(|name| *text == reference(name)) => {
            text.push_str(ANSWER_SUFFIX);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, names)),
        _ => {}
    }
}

fn describe(
    operation: &Operation,
    requests: &mut SchemaGenerator,
    answers: &mut SchemaGenerator,
) -> Value {
    let about = operation.about.trim();
    let about: Vec<&str> = about.lines().map(str::trim).collect();
    let about = about.join(" ");
    let summary = about.split_once(". ").map_or(about.as_str(), |(first, _)| first);
    let mut described = json!({
        "operationId": operation.id,
        "summary": summary.trim_end_matches('.'),
        "description": about,
        "tags": [operation.tag],
        "parameters": parameters(operation),
        "responses": responses(operation, answers),
    });
    if let (Some(body), Value::Object(fields)) = ((operation.body)(requests), &mut described) {
        let content = json!({ body.content_type: { "schema": body.schema } });
        let body = json!({ "required": body.required, "content": content });
        fields.insert("requestBody".to_owned(), body);
    }
    described
}

fn responses(operation: &Operation, answers: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for status in [operation.status].iter().chain(operation.other_statuses).copied() {
        let response = if status == 204 {
            json!({ "description": "Done." })
        } else {
            let schema = (operation.answer)(answers);
            json!({
                "description": "Done.",
                "content": { "application/json": { "schema": schema } },
            })
        };
        responses.insert(status.to_string(), response);
    }
    if VERSIONED.contains(&operation.id) {
        let response = json!({ "description": "Its etag is the one of If-None-Match." });
        responses.insert("304".to_owned(), response);
    }
    for range in ["4XX", "5XX"] {
        let problem = json!({ "$ref": "#/components/responses/Problem" });
        responses.insert(range.to_owned(), problem);
    }
    Value::Object(responses)
}

/// The parameters of path, query and header.
fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(parameter_name).map(|name| {
        let schema = json!({ "type": "string", "minLength": 1 });
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let mut parameters: Vec<Value> = in_path.collect();
    let mut generator = generator(SchemaSettings::for_deserialize);
    (operation.query)(&mut generator);
    for definition in generator.take_definitions(true).values() {
        let properties = definition.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            parameters.push(query_parameter(name, property));
        }
    }
    let conditions: &[(&str, &str)] = match operation.id {
        "put_queue" | "put_exchange" | "put_schedule" => {
            &[("If-Match", IF_MATCH), ("If-None-Match", "`*`: only if there is none of that name.")]
        }
        id if VERSIONED.contains(&id) => &[(
            "If-None-Match",
            "The etag that the reader has: 304 if the settings are still those. Counts change \
             without a new etag.",
        )],
        "patch_queue" | "patch_schedule" | "delete_queue" | "delete_exchange"
        | "delete_schedule" => &[("If-Match", IF_MATCH)],
        _ => &[],
    };
    for (name, about) in conditions {
        let schema = json!({ "type": "string" });
        let header =
            json!({ "name": name, "in": "header", "description": about, "schema": schema });
        parameters.push(header);
    }
    parameters
}

fn query_parameter(name: &str, property: &Value) -> Value {
    let mut schema = property.clone();
    let about = schema.as_object_mut().and_then(|fields| fields.remove("description"));
    // Left out is what `null` would be.
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("default");
        if let Some(Value::Array(types)) = fields.get_mut("type") {
            types.retain(|one| one != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                fields.insert("type".to_owned(), one);
            }
        }
    }
    json!({ "name": name, "in": "query", "description": about, "schema": schema })
}

/// The name of a path's segment that is a parameter.
pub(crate) fn parameter_name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The codes of problems, for the schema of [`ProblemBody`].
pub(crate) fn code_schema(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    schemars::json_schema!({
        "type": "string",
        "description": "Stable name of the problem; programs decide by it. New ones may come.",
        "examples": names,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn operations() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
        let paths = document()["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap();
            methods.iter().map(move |(method, one)| (path.as_str(), method.as_str(), one))
        })
    }

    /// Whoever fills in a form is told the limits beforehand, and a program can check them.
    #[test]
    fn every_number_of_a_request_has_its_limits() {
        fn walk(place: &str, schema: &Value, open: &mut Vec<String>) {
            let kind = &schema["type"];
            let is_number = |kind: &Value| kind == "integer" || kind == "number";
            let numeric =
                is_number(kind) || kind.as_array().is_some_and(|all| all.iter().any(is_number));
            if numeric && (schema["minimum"].is_null() || schema["maximum"].is_null()) {
                open.push(place.to_owned());
            }
            match schema {
                Value::Object(fields) => {
                    for (name, below) in fields {
                        walk(&format!("{place}/{name}"), below, open);
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| walk(place, item, open)),
                _ => {}
            }
        }
        let mut generator = generator(SchemaSettings::for_deserialize);
        for operation in OPERATIONS {
            (operation.body)(&mut generator);
            (operation.query)(&mut generator);
        }
        let mut open = Vec::new();
        for (name, definition) in generator.take_definitions(true) {
            walk(&name, &definition, &mut open);
        }
        assert!(open.is_empty(), "without limits: {open:#?}");
    }

    #[test]
    fn every_operation_of_the_document_is_routed_and_every_route_is_in_it() {
        let mut described = BTreeSet::new();
        for (path, method, operation) in operations() {
            let method = method.to_ascii_uppercase().parse().unwrap();
            let example = path.replace(['{', '}'], "");
            let routed = crate::door::route(&method, &example);
            let routed = routed.unwrap_or_else(|_| panic!("{method} {path}")).0;
            assert_eq!(operation["operationId"], routed.id, "{method} {path}");
            described.insert(routed.id);
        }
        assert_eq!(described.len(), OPERATIONS.len());
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        fn collect<'v>(value: &'v Value, into: &mut BTreeSet<&'v str>) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(target)) = fields.get("$ref") {
                        into.insert(target);
                    }
                    fields.values().for_each(|field| collect(field, into));
                }
                Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
                _ => {}
            }
        }
        let mut targets = BTreeSet::new();
        collect(document(), &mut targets);
        for target in &targets {
            let found = document().pointer(target.trim_start_matches('#'));
            assert!(found.is_some(), "{target}");
        }
        for name in document()["components"]["schemas"].as_object().unwrap().keys() {
            assert!(targets.contains(reference(name).as_str()), "{name}");
        }
    }

    #[test]
    fn requests_are_closed_and_answers_open() {
        let schemas = &document()["components"]["schemas"];
        assert_eq!(schemas["NewMessage"]["additionalProperties"], false);
        assert_eq!(schemas["QueueSettings"]["additionalProperties"], false);
        assert_eq!(schemas["Queue"].get("additionalProperties"), None);
        let settings = &schemas["Queue"]["properties"]["settings"]["$ref"];
        assert_eq!(*settings, reference("QueueSettingsAnswer"));
        assert_eq!(schemas["QueueSettingsAnswer"].get("additionalProperties"), None);
    }

    #[test]
    fn parameters_are_described() {
        for (path, method, operation) in operations() {
            for parameter in operation["parameters"].as_array().unwrap() {
                let in_path = parameter["in"] == "path";
                assert!(in_path || parameter["description"].is_string(), "{method} {path}");
            }
        }
    }
}
