//! The place where the examples keep their jobs: by default in a directory of this process
//! (`./example-data/NAME`); with `--url http://127.0.0.1:9324` at a running server; with `--dir
//! DIR` elsewhere.

use std::path::PathBuf;

use kyu::Kyu;

/// The handle, and a directory for what the example makes in the world outside.
#[allow(dead_code, reason = "each example uses a part")]
pub(crate) struct Place {
    pub(crate) kyu: Kyu,
    pub(crate) dir: PathBuf,
    /// The rest of the command line.
    pub(crate) arguments: Vec<String>,
}

pub(crate) async fn open(name: &str) -> Result<Place, kyu::Error> {
    let (mut url, mut dir) = (None, PathBuf::from("example-data").join(name));
    let mut arguments = Vec::new();
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--url" => url = given.next(),
            "--dir" => dir = given.next().map(PathBuf::from).unwrap_or(dir),
            _ => arguments.push(argument),
        }
    }
    std::fs::create_dir_all(&dir).map_err(|error| kyu::Error::Open(error.to_string()))?;
    let kyu = match url {
        Some(url) => Kyu::connect(&url)?,
        None => Kyu::open(dir.join("kyu")).await?,
    };
    Ok(Place { kyu, dir, arguments })
}
