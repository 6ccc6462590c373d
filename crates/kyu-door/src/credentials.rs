//! The rule for credentials: a name and a secret that somebody else would have to guess.

use std::fmt;

/// Fewest characters of a secret where only this machine can try one.
pub const MIN_LOCAL_SECRET_CHARS: usize = 4;
/// Fewest characters of a secret where other machines can try. Below it, guesses succeed.
pub const MIN_SECRET_CHARS: usize = 8;

/// The programs that can reach a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Programs on this machine.
    Loopback,
    /// Anybody on a network.
    Network,
}

/// Why a name and a secret are no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// The name is empty, or blank.
    NoName,
    /// The secret is empty, or blank.
    NoSecret,
    /// The secret is shorter than what the port's reach demands.
    ShortSecret {
        /// The least.
        min_chars: usize,
    },
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("the name is empty"),
            Self::NoSecret => f.write_str("the secret is empty"),
            Self::ShortSecret { min_chars } => {
                write!(f, "the secret has fewer than {min_chars} characters")
            }
        }
    }
}

/// Checks a pair for a port with that reach. A variable that is set and empty is the usual slip: it
/// must not become a door that opens to empty credentials.
pub fn check(name: &str, secret: &str, reach: Reach) -> Result<(), Weakness> {
    let min_chars = match reach {
        Reach::Loopback => MIN_LOCAL_SECRET_CHARS,
        Reach::Network => MIN_SECRET_CHARS,
    };
    if name.trim().is_empty() {
        return Err(Weakness::NoName);
    }
    match secret.trim().chars().count() {
        0 => Err(Weakness::NoSecret),
        chars if chars < min_chars => Err(Weakness::ShortSecret { min_chars }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_short_secrets_are_no_credentials() {
        for reach in [Reach::Loopback, Reach::Network] {
            assert_eq!(check("", "", reach), Err(Weakness::NoName));
            assert_eq!(check(" ", "long enough", reach), Err(Weakness::NoName));
            assert_eq!(check("AKID", "", reach), Err(Weakness::NoSecret));
            assert_eq!(check("AKID", "         ", reach), Err(Weakness::NoSecret));
            assert!(check("AKID", "abc", reach).is_err());
            assert_eq!(check("AKID", "long enough", reach), Ok(()));
        }
        assert_eq!(check("AKID", "four", Reach::Loopback), Ok(()));
        let short = Err(Weakness::ShortSecret { min_chars: MIN_SECRET_CHARS });
        assert_eq!(check("AKID", "seven77", Reach::Network), short);
    }
}
