//! Conditional requests (RFC 9110, section 13): `If-Match` and `If-None-Match` against the etag of
//! what is there.

use kyu_door::http::{Head, header};

use crate::problem::{Code, Problem};

/// Longest list of etags in one header, so that comparing stays cheap.
const MAX_ETAGS: usize = 64;

/// The conditions that a request puts on what is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    if_match: Option<Etags>,
    if_none_match: Option<Etags>,
}

/// The value of one of the two headers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Etags {
    /// `*`: whatever is there.
    Any,
    /// Any of these.
    These(Vec<Etag>),
}

/// One entity tag, as a client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Etag {
    is_weak: bool,
    opaque: String,
}

impl Conditions {
    /// Reads the headers of a request. A list that is none is refused: to ignore it could lose an
    /// update.
    pub(crate) fn of(head: &Head) -> Result<Self, Problem> {
        let read = |name: &header::HeaderName| {
            let mut values = head.headers.get_all(name).iter();
            let texts: Vec<&str> = values.by_ref().map(|v| v.to_str().unwrap_or("?")).collect();
            if texts.is_empty() {
                return Ok(None);
            }
            let etags = Etags::parse(&texts.join(","));
            etags.map(Some).ok_or_else(|| {
                let name = if name == header::IF_MATCH { "If-Match" } else { "If-None-Match" };
                Problem::invalid(format!(
                    "{name} takes * or at most {MAX_ETAGS} quoted etags with commas between them."
                ))
            })
        };
        Ok(Self {
            if_match: read(&header::IF_MATCH)?,
            if_none_match: read(&header::IF_NONE_MATCH)?,
        })
    }

    /// Holds the conditions of a change against the etag of what is there, `None` where nothing is.
    /// `exists` is the problem of a request that wanted to find nothing.
    pub(crate) fn check(&self, current: Option<&str>, exists: Code) -> Result<(), Problem> {
        if let Some(etags) = &self.if_match
            && !current.is_some_and(|current| etags.have(current, false))
        {
            let detail = match current {
                Some(current) => format!("The etag is {current:?} now: If-Match names another."),
                None => "There is nothing here for If-Match to match.".to_owned(),
            };
            return Err(Problem::new(Code::VersionConflict, detail));
        }
        if let Some(etags) = &self.if_none_match
            && current.is_some_and(|current| etags.have(current, true))
        {
            return Err(Problem::of(exists));
        }
        Ok(())
    }

    /// Tells whether a reader has this version already (`304`).
    pub(crate) fn is_unmodified(&self, current: &str) -> bool {
        self.if_none_match.as_ref().is_some_and(|etags| etags.have(current, true))
    }
}

impl Etags {
    fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        let mut etags = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            // Empty elements of a list are allowed (RFC 9110, section 5.6.1.2).
            if let Some(after) = rest.strip_prefix(',') {
                rest = after.trim_start();
                continue;
            }
            let (is_weak, quoted) = match rest.strip_prefix("W/") {
                Some(quoted) => (true, quoted),
                None => (false, rest),
            };
            let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
            etags.push(Etag { is_weak, opaque: opaque.to_owned() });
            rest = after.trim_start();
            if etags.len() > MAX_ETAGS || !(rest.is_empty() || rest.starts_with(',')) {
                return None;
            }
        }
        (!etags.is_empty()).then_some(Self::These(etags))
    }

    /// The strong comparison of `If-Match`, or the weak one of `If-None-Match` (section 8.8.3.2).
    fn have(&self, current: &str, weakly: bool) -> bool {
        match self {
            Self::Any => true,
            Self::These(etags) => {
                etags.iter().any(|one| one.opaque == current && (weakly || !one.is_weak))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(headers: &[(&str, &str)]) -> Result<Conditions, Problem> {
        let mut request = hyper::Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Conditions::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn if_match_wants_what_is_there_and_compares_strongly() {
        for (value, current, holds) in [
            ("*", Some("1-1"), true),
            ("*", None, false),
            ("\"1-1\"", Some("1-1"), true),
            ("\"1-1\"", None, false),
            ("\"1-2\"", Some("1-1"), false),
            ("\"0\", , \"1-1\"", Some("1-1"), true),
            ("W/\"1-1\"", Some("1-1"), false),
        ] {
            let conditions = conditions(&[("if-match", value)]).unwrap();
            let checked = conditions.check(current, Code::QueueExists);
            assert_eq!(checked.is_ok(), holds, "{value} {current:?}");
            assert!(holds || checked.unwrap_err().code == Code::VersionConflict);
        }
    }

    #[test]
    fn if_none_match_wants_something_else_or_nothing_and_compares_weakly() {
        for (value, current, holds) in [
            ("*", Some("1-1"), false),
            ("*", None, true),
            ("\"1-1\"", Some("1-1"), false),
            ("W/\"1-1\"", Some("1-1"), false),
            ("\"1-2\"", Some("1-1"), true),
            ("\"1-2\"", None, true),
        ] {
            let conditions = conditions(&[("if-none-match", value)]).unwrap();
            let checked = conditions.check(current, Code::QueueExists);
            assert_eq!(checked.is_ok(), holds, "{value} {current:?}");
            assert!(holds || checked.unwrap_err().code == Code::QueueExists);
            assert_eq!(current.is_some_and(|one| conditions.is_unmodified(one)), !holds);
        }
    }

    #[test]
    fn several_headers_are_one_list_and_a_broken_list_is_refused() {
        let twice = [("if-match", "\"a\""), ("if-match", "\"b\"")];
        assert!(conditions(&twice).unwrap().check(Some("b"), Code::QueueExists).is_ok());
        for broken in ["", "1-1", "\"1-1", "\"a\" \"b\"", "\"a\", *", "w/\"a\""] {
            assert!(conditions(&[("if-match", broken)]).is_err(), "{broken}");
        }
        let many = vec!["\"a\""; MAX_ETAGS + 1].join(",");
        assert!(conditions(&[("if-match", &many)]).is_err());
    }
}
