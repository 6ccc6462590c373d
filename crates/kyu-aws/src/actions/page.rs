//! Pages of queue URLs, for ListQueues and ListDeadLetterSourceQueues. The token is the last name
//! of the page before, so that queues made or deleted in between disturb nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::error::Error;
use crate::limits::MAX_LIST_RESULTS;

/// Cuts one page out of names in order; `None` for `max_results` is one page without a next.
pub(super) fn cut<T>(
    all: Vec<T>,
    name: impl Fn(&T) -> &str,
    max_results: Option<i64>,
    token: Option<&str>,
) -> Result<(Vec<T>, Option<String>), Error> {
    let limit = match max_results {
        None => MAX_LIST_RESULTS,
        Some(limit) if (1..=MAX_LIST_RESULTS).contains(&limit) => limit,
        Some(wrong) => {
            let reason = "MaxResults must be an integer between 1 and 1000.";
            return Err(Error::invalid(wrong, "MaxResults", reason));
        }
    };
    let limit = usize::try_from(limit).unwrap_or(1);
    let after = match token {
        None => None,
        Some(token) => {
            let name = BASE64.decode(token).ok().and_then(|name| String::from_utf8(name).ok());
            Some(name.ok_or_else(|| Error::invalid(token, "NextToken", "Unknown token."))?)
        }
    };
    let beyond = |one: &T| after.as_deref().is_none_or(|after| name(one) > after);
    let mut page: Vec<T> = all.into_iter().filter(beyond).take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more && max_results.is_some());
    let next = next.map(|last| BASE64.encode(name(last)));
    Ok((page, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_even_if_a_queue_vanishes() {
        let cut = |names: &[&'static str], max, token: Option<&str>| {
            cut(names.to_vec(), |name| name, max, token)
        };
        let (page, next) = cut(&["a", "b", "c"], Some(2), None).unwrap();
        assert_eq!(page, ["a", "b"]);
        let (page, next) = cut(&["a", "c"], Some(2), next.as_deref()).unwrap();
        assert_eq!((page, next), (vec!["c"], None));
        assert_eq!(cut(&["a", "b"], Some(2), None).unwrap().1, None);
        assert_eq!(cut(&["a", "b"], None, None).unwrap(), (vec!["a", "b"], None));
        for (max, token) in [(Some(0), None), (Some(1001), None), (None, Some("%"))] {
            assert!(cut(&["a"], max, token).is_err());
        }
    }
}
