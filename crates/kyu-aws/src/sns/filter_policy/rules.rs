//! The rules of a policy: read in the order in which AWS' rule engine (`event-ruler`) reads tokens,
//! so that its complaints stand where it makes them.

use kyu_broker::{Bound, Condition, Literal, Network, Range};

use super::json::{Node, Value};

/// The keys that may stand inside an object of a list of rules, and so not in an alternative of a
/// `$or`.
const OPERATORS: &[&str] =
    &["prefix", "suffix", "equals-ignore-case", "anything-but", "numeric", "exists", "cidr"];
/// Numbers that the rule engine compares reach so far from zero.
const MAX_NUMBER: f64 = 5.0e9;

/// A mistake, and the column after the token where it was noticed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) text: String,
    pub(super) column: Option<usize>,
}

/// The properties of a policy, or of an object in one.
pub(super) struct Policy(pub(super) Vec<(String, Part)>);

pub(super) enum Part {
    Conditions(Vec<Condition>),
    Below(Policy),
    /// The alternatives of a `$or`.
    Alternatives(Vec<Policy>),
}

fn at(column: usize, text: impl Into<String>) -> Problem {
    Problem { text: text.into(), column: Some(column) }
}

/// Reads a policy.
pub(super) fn read(root: &Node) -> Result<Policy, Problem> {
    match &root.value {
        Value::Object(members) => policy(members, root.ended),
        _ => Err(at(root.begun, "Filter is not an object")),
    }
}

fn policy(members: &[(String, Node)], ended: usize) -> Result<Policy, Problem> {
    if members.is_empty() {
        return Err(at(ended, "Empty objects are not allowed"));
    }
    let part = |(name, node): &(String, Node)| Ok((name.clone(), part(name, node)?));
    members.iter().map(part).collect::<Result<_, _>>().map(Policy)
}

fn part(name: &str, node: &Node) -> Result<Part, Problem> {
    if let Some(objects) = alternatives(name, node) {
        let policies = objects.into_iter().map(|(members, ended)| policy(members, ended));
        return Ok(Part::Alternatives(policies.collect::<Result<_, _>>()?));
    }
    match &node.value {
        Value::Object(members) => policy(members, node.ended).map(Part::Below),
        Value::List(rules) if rules.is_empty() => {
            Err(at(node.ended, "Empty arrays are not allowed"))
        }
        Value::List(rules) => {
            rules.iter().map(condition).collect::<Result<_, _>>().map(Part::Conditions)
        }
        _ => Err(at(node.begun, format!("\"{name}\" must be an object or an array"))),
    }
}

type Members<'n> = &'n [(String, Node)];

/// The alternatives of a `$or`, each with where it ends; `None` where that is the name of a property
/// (SNS developer guide, "OR operator").
fn alternatives<'n>(name: &str, node: &'n Node) -> Option<Vec<(Members<'n>, usize)>> {
    let Value::List(nodes) = &node.value else { return None };
    if name != "$or" || nodes.len() < 2 {
        return None;
    }
    let members = |node: &'n Node| match &node.value {
        Value::Object(members) => {
            let reserved = members.iter().any(|(name, _)| OPERATORS.contains(&name.as_str()));
            (!reserved).then_some((members.as_slice(), node.ended))
        }
        _ => None,
    };
    nodes.iter().map(members).collect()
}

fn condition(rule: &Node) -> Result<Condition, Problem> {
    match &rule.value {
        Value::Object(members) => match members.as_slice() {
            [] => Err(at(rule.ended, "Match expression name not found")),
            [(operator, value), more @ ..] => {
                let condition = expression(operator, value)?;
                match more.first() {
                    None => Ok(condition),
                    Some((_, second)) if operator == "numeric" => {
                        Err(at(second.begun, TOO_MANY_ELEMENTS))
                    }
                    Some((_, second)) => Err(at(second.begun, ONE_KEY)),
                }
            }
        },
        Value::List(_) => Err(at(rule.begun, MATCH_VALUE)),
        Value::Null => Ok(Condition::Is(Literal::Null)),
        Value::Bool(flag) => Ok(Condition::Is(Literal::Bool(*flag))),
        Value::Number(number) => Ok(Condition::Is(Literal::Number(float(number)))),
        Value::Text(text) => Ok(Condition::Is(Literal::Text(text.clone()))),
    }
}

const MATCH_VALUE: &str = "Match value must be String, number, true, false, or null";
const ONE_KEY: &str = "Only one key allowed in match expression";
const TOO_MANY_ELEMENTS: &str = "Too many elements in numeric expression";

fn expression(operator: &str, value: &Node) -> Result<Condition, Problem> {
    // The rule engine says `prefix` of networks, too.
    let name = if operator == "cidr" { "prefix" } else { operator };
    let text = || match &value.value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(at(value.begun, format!("{name} match pattern must be a string"))),
    };
    Ok(match operator {
        "prefix" => Condition::Prefix(text()?),
        "suffix" => Condition::Suffix(text()?),
        "equals-ignore-case" => Condition::SameIgnoringCase(text()?),
        "anything-but" => anything_but(value)?,
        "numeric" => Condition::Within(range(value)?),
        "exists" => match value.value {
            Value::Bool(wanted) => Condition::Exists(wanted),
            _ => {
                let text = "exists match pattern must be either true or false.";
                return Err(at(value.begun, text));
            }
        },
        "cidr" => Condition::Network(network(&text()?)?),
        other => return Err(at(value.begun, format!("Unrecognized match type {other}"))),
    })
}

fn anything_but(value: &Node) -> Result<Condition, Problem> {
    match &value.value {
        Value::List(nodes) => literals(nodes, value.ended).map(Condition::AnythingBut),
        Value::Text(text) => Ok(Condition::AnythingBut(vec![Literal::Text(text.clone())])),
        Value::Number(number) => {
            let number = comparable(number, value.begun)?;
            Ok(Condition::AnythingBut(vec![Literal::Number(number)]))
        }
        Value::Object(members) => {
            let Some((operator, pattern)) = members.first() else {
                return Err(at(value.ended, "Anything-But expression name not found"));
            };
            if operator != "prefix" {
                let text = format!("Unsupported anything-but pattern: {operator}");
                return Err(at(pattern.begun, text));
            }
            let Value::Text(start) = &pattern.value else {
                return Err(at(pattern.begun, "prefix match pattern must be a string"));
            };
            if start.is_empty() {
                return Err(at(pattern.ended, "Null prefix not allowed"));
            }
            match members.get(1) {
                None => Ok(Condition::AnythingButPrefix(vec![start.clone()])),
                Some((_, second)) => Err(at(second.begun, ONE_KEY)),
            }
        }
        Value::Null | Value::Bool(_) => Err(at(
            value.begun,
            "Value of anything-but must be an array or single string/number value.",
        )),
    }
}

/// Texts or numbers, and not both.
fn literals(nodes: &[Node], ended: usize) -> Result<Vec<Literal>, Problem> {
    let literal = |node: &Node| match &node.value {
        Value::Text(text) => Ok(Literal::Text(text.clone())),
        Value::Number(number) => comparable(number, node.begun).map(Literal::Number),
        _ => {
            let text = "Inside anything but list, start|null|boolean is not supported.";
            Err(at(node.begun, text))
        }
    };
    let literals: Vec<_> = nodes.iter().map(literal).collect::<Result<_, _>>()?;
    let numbers = literals.iter().filter(|one| matches!(one, Literal::Number(_))).count();
    if literals.is_empty() || (numbers > 0 && numbers < literals.len()) {
        return Err(at(
            ended,
            "Inside anything but list, either all values are number or string, mixed type is not \
             supported",
        ));
    }
    Ok(literals)
}

/// The token that the rule engine reads next in a list.
#[derive(Clone, Copy)]
enum Token<'n> {
    Node(&'n Node),
    End(usize),
}

impl Token<'_> {
    fn column(self) -> usize {
        match self {
            Self::Node(node) => node.begun,
            Self::End(column) => column,
        }
    }

    fn text(self) -> String {
        match self {
            Self::End(_) => "]".into(),
            Self::Node(node) => match &node.value {
                Value::Text(text) => text.clone(),
                Value::List(_) => "[".into(),
                Value::Object(_) => "{".into(),
                _ => node.to_string(),
            },
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Self::Node(Node { value: Value::Number(number), .. }) => Some(float(number)),
            _ => None,
        }
    }
}

/// `["=", 5]`, `["<", 5]`, or a range of both: `[">=", 0, "<", 5]`.
fn range(value: &Node) -> Result<Range, Problem> {
    let Value::List(nodes) = &value.value else {
        return Err(at(value.begun, "Value of numeric must be an array."));
    };
    let mut nodes = nodes.iter();
    let mut next = || nodes.next().map_or(Token::End(value.ended), Token::Node);
    let first = next();
    let Token::Node(Node { value: Value::Text(operator), .. }) = first else {
        let text = format!("Invalid member in numeric match: {}", first.text());
        return Err(at(first.column(), text));
    };
    let operand = next();
    let name = match operator.as_str() {
        "=" => "equals",
        "<" | "<=" | ">" | ">=" => operator,
        other => {
            let text = format!("Unrecognized numeric range operator: {other}");
            return Err(at(operand.column(), text));
        }
    };
    let wrong = |name: &str, token: Token<'_>| {
        at(token.column(), format!("Value of {name} must be numeric"))
    };
    let number = operand.number().ok_or_else(|| wrong(name, operand))?;
    let bound = Bound { value: number, inclusive: operator.contains('=') };
    let second = next();
    let Token::Node(second_node) = second else {
        check_size(number, value.ended)?;
        return Ok(match operator.as_str() {
            "=" => Range { low: Some(bound), high: Some(bound) },
            "<" | "<=" => Range { low: None, high: Some(bound) },
            _ => Range { low: Some(bound), high: None },
        });
    };
    if !operator.starts_with('>') {
        return Err(at(second.column(), TOO_MANY_ELEMENTS));
    }
    let Value::Text(operator) = &second_node.value else {
        return Err(at(second.column(), format!("Bad value in numeric range: {}", second.text())));
    };
    if !matches!(operator.as_str(), "<" | "<=") {
        return Err(at(second_node.ended, format!("Bad numeric range operator: {operator}")));
    }
    let operand = next();
    let top = operand.number().ok_or_else(|| wrong(operator, operand))?;
    if let more @ Token::Node(_) = next() {
        return Err(at(more.column(), "Too many terms in numeric range expression"));
    }
    if top <= number {
        return Err(at(value.ended, "Bottom must be less than top"));
    }
    check_size(number, value.ended)?;
    check_size(top, value.ended)?;
    let high = Bound { value: top, inclusive: operator.contains('=') };
    Ok(Range { low: Some(bound), high: Some(high) })
}

fn float(number: &str) -> f64 {
    number.parse().unwrap_or(f64::NAN)
}

fn comparable(number: &str, column: usize) -> Result<f64, Problem> {
    let number = float(number);
    check_size(number, column).map(|()| number)
}

fn check_size(number: f64, column: usize) -> Result<(), Problem> {
    if number.abs() <= MAX_NUMBER {
        return Ok(());
    }
    Err(at(column, "Value must be between -5.0E9 and 5.0E9, inclusive"))
}

/// Complaints about networks have no place: the rule engine's own code makes them, not its parser.
fn network(text: &str) -> Result<Network, Problem> {
    let problem = |text: &str| Problem { text: text.to_owned(), column: None };
    let one = || problem("Malformed CIDR, one '/' required");
    let no_number = || problem("Malformed CIDR, mask bits must be an integer");
    let valid = |(_, bits): &(&str, &str)| !bits.is_empty() && !bits.contains('/');
    let (first, bits) = text.split_once('/').filter(valid).ok_or_else(one)?;
    let bits: i32 = bits.parse().map_err(|_| no_number())?;
    if bits < 0 {
        return Err(problem("Malformed CIDR, mask bits must not be negative"));
    }
    let nonstandard = |_| problem(&format!("Nonstandard IP address: {first}"));
    let first: std::net::IpAddr = first.parse().map_err(nonstandard)?;
    let (most, text) = match first {
        std::net::IpAddr::V4(_) => (32, "IPv4 mask bits must be < 32"),
        std::net::IpAddr::V6(_) => (128, "IPv6 mask bits must be < 128"),
    };
    // One address as a network is refused by AWS' rule engine; here it is one address.
    let prefix_bits = u8::try_from(bits).ok().filter(|bits| *bits <= most);
    let prefix_bits = prefix_bits.ok_or_else(|| problem(text))?;
    Ok(Network { first, prefix_bits })
}
