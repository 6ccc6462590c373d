//! Addresses of a Postgres: libpq's connection strings, the words about TLS included.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode as DriverMode;

use crate::error::{Error, describe};
use crate::tls::{SslMode, Tls, TlsWords};

/// If the string names none: a host that is away must not hold the relay for minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A parsed connection string.
#[derive(Clone, Debug)]
pub(crate) struct Conninfo {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
}

impl Conninfo {
    /// A URL (`postgresql://...`) or `key=value` pairs. The certificates that it names are read now.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (rest, words) = take_tls_words(text).map_err(Error::Refused)?;
        let mut config: Config = rest.parse().map_err(|error| Error::Refused(describe(&error)))?;
        let tls = Tls::load(&words).map_err(Error::Refused)?;
        config.ssl_mode(match tls.mode() {
            SslMode::Disable => DriverMode::Disable,
            SslMode::Prefer => DriverMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => DriverMode::Require,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("kyu outbox");
        }
        Ok(Self { config, tls })
    }
}

/// Takes the words that the driver does not know out of a connection string.
fn take_tls_words(text: &str) -> Result<(String, TlsWords), String> {
    let mut words = TlsWords::default();
    let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    if is_url {
        let Some((before, query)) = text.split_once('?') else {
            return Ok((text.to_owned(), words));
        };
        let mut rest = Vec::new();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            if !words.take(key, &value)? {
                rest.push(pair);
            }
        }
        let mark = if rest.is_empty() { "" } else { "?" };
        return Ok((format!("{before}{mark}{}", rest.join("&")), words));
    }
    let mut rest = Vec::new();
    for (pair, key, value) in pairs(text)? {
        if !words.take(key, &value)? {
            rest.push(pair);
        }
    }
    Ok((rest.join(" "), words))
}

/// `key = value` pairs with libpq's quotes and backslashes: each as written, its key, its value.
fn pairs(text: &str) -> Result<Vec<(&str, &str, String)>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) =
            rest.split_once('=').ok_or("connection string: a key without a value")?;
        let value = after.trim_start();
        let (mut chars, mut decoded) = (value.char_indices().peekable(), String::new());
        let quoted = chars.next_if(|(_, c)| *c == '\'').is_some();
        let mut end = None;
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => decoded.extend(chars.next().map(|(_, c)| c)),
                '\'' if quoted => end = Some(at + 1),
                c if !quoted && c.is_whitespace() => end = Some(at),
                c => decoded.push(c),
            }
            if end.is_some() {
                break;
            }
        }
        if quoted && end.is_none() {
            return Err("connection string: a quote is not closed".into());
        }
        let (_, next) = value.split_at(end.unwrap_or(value.len()));
        let (pair, _) = rest.split_at(rest.len() - next.len());
        found.push((pair, key.trim(), decoded));
        rest = next.trim_start();
    }
    Ok(found)
}

impl TlsWords {
    /// Takes a word if it is about TLS; `false` if it is not.
    fn take(&mut self, key: &str, value: &str) -> Result<bool, String> {
        let path = || Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty());
        match key {
            "sslmode" => self.mode = Some(value.parse()?),
            "sslrootcert" => self.root_certificate = path(),
            "sslcert" => self.certificate = path(),
            "sslkey" => self.key = path(),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_tls_are_taken_out_of_urls_and_pairs() {
        let url = "postgresql://u:p@h:5433/db?sslmode=verify-full&application_name=x&sslrootcert=/a%20b/ca.pem";
        let (rest, words) = take_tls_words(url).unwrap();
        assert_eq!(rest, "postgresql://u:p@h:5433/db?application_name=x");
        assert_eq!(words.mode, Some(SslMode::VerifyFull));
        assert_eq!(words.root_certificate, Some(PathBuf::from("/a b/ca.pem")));
        let (rest, words) = take_tls_words("postgresql://u@h/db?sslmode=disable").unwrap();
        assert_eq!((rest.as_str(), words.mode), ("postgresql://u@h/db", Some(SslMode::Disable)));

        let pairs = r"host=h password = 'it\'s = \\ ok' sslmode = require sslkey='/k e/y' user=u";
        let (rest, words) = take_tls_words(pairs).unwrap();
        assert_eq!(rest, r"host=h password = 'it\'s = \\ ok' user=u");
        assert_eq!(words.mode, Some(SslMode::Require));
        assert_eq!(words.key, Some(PathBuf::from("/k e/y")));
        let config: Config = rest.parse().unwrap();
        assert_eq!(config.get_password(), Some(br"it's = \ ok".as_slice()));
    }

    #[test]
    fn bad_strings_are_refused_with_the_reason() {
        for (bad, reason) in [
            ("postgresql://h/db?sslmode=allow", "prefer"),
            ("postgresql://h/db?sslmode=never", "never"),
            ("host=h sslmode='require", "quote"),
            ("host=h sslmode", "without a value"),
            ("host=h bogus=1", "bogus"),
            ("host=h sslmode=verify-ca sslrootcert=/none/ca.pem", "/none/ca.pem"),
            ("host=h sslmode=require sslrootcert=system", "verify-full"),
            ("host=h sslcert=/c.pem", "sslkey"),
        ] {
            let error = Conninfo::parse(bad).unwrap_err().to_string();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }
}
