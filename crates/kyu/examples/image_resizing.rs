//! Thumbnails of large pictures, by claim check: the picture goes to a store beside the queue, and
//! the job carries its address and its hash. Run it, kill it with -9 wherever you like, run it again:
//!
//! ```sh
//! cargo run --example image_resizing
//! ```
//!
//! Two steps, two queues: `Resize` makes a thumbnail and adds `Publish`, which lists it in the
//! gallery. `context.enqueue` puts the second job into the queue in the same step as the first one's
//! acknowledgement: there is no moment at which a thumbnail is done and its publication forgotten,
//! or published twice because the first step ran again.
//!
//! The thumbnail itself needs no ledger: the same picture gives the same bytes under the same name,
//! so doing it twice is harmless. Where work can be made so, that is the best kind of exactly once.

mod place;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kyu::{Context, EnqueueOptions, Job, JobError, Kyu, Retry, Summary, Worker};
use serde::{Deserialize, Serialize};

const PICTURES: u32 = 12;
const WIDTH: usize = 1_200;
const HEIGHT: usize = 800;
/// A thumbnail is this much smaller.
const SHRINK: usize = 8;

/// Claim check of a picture in the store.
#[derive(Clone, Serialize, Deserialize)]
struct Resize {
    picture: String,
    /// Guards against a store that lost or changed what was put there.
    crc32c: u32,
}

impl Job for Resize {
    const QUEUE: &'static str = "resize";
    const RETRY: Retry = Retry { first: Duration::from_millis(200), ..Retry::DEFAULT };
}

#[derive(Serialize, Deserialize)]
struct Publish {
    thumbnail: String,
}

impl Job for Publish {
    const QUEUE: &'static str = "publish";
    const RETRY: Retry = Resize::RETRY;
}

/// Files by name; what is there is whole.
#[derive(Clone)]
struct Store(PathBuf);

impl Store {
    fn put(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        let unfinished = self.0.join(format!(".{name}.{}", std::process::id()));
        std::fs::write(&unfinished, bytes)?;
        std::fs::File::open(&unfinished)?.sync_all()?;
        std::fs::rename(unfinished, self.path(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = place::open("image-resizing").await?;
    let store = Store(place.dir.join("store"));
    for number in 0..PICTURES {
        let picture = format!("picture-{number:02}.ppm");
        let bytes = draw(number);
        // First the picture, then its claim check: a job never names what is not there.
        if !store.path(&picture).exists() {
            store.put(&picture, &bytes)?;
        }
        let job = Resize { picture: picture.clone(), crc32c: crc32c(&bytes) };
        let once = EnqueueOptions { dedup_id: Some(picture), ..EnqueueOptions::default() };
        place.kyu.enqueue_with(&job, &once).await?;
    }
    let summary = work(&place.kyu, &store).await?;
    let gallery = gallery(&store.path("gallery.txt"));
    println!("{summary:?}; {} pictures in the gallery", gallery.len());
    place.kyu.close().await;
    Ok(())
}

async fn work(kyu: &Kyu, store: &Store) -> Result<Summary, kyu::Error> {
    kyu.declare::<Publish>().await?;
    let worker = Worker::new(kyu)
        .concurrency(2)
        .lease(Duration::from_secs(2))
        .handle({
            let store = store.clone();
            move |job: Resize, context: Context| {
                let store = store.clone();
                async move {
                    // A long computation: not on the thread that keeps leases alive.
                    let made = tokio::task::spawn_blocking(move || resize(&store, &job));
                    let thumbnail = made.await??;
                    context.enqueue(&Publish { thumbnail })?;
                    Ok(())
                }
            }
        })
        .handle({
            let store = store.clone();
            move |job: Publish, context: Context| {
                let list = store.path("gallery.txt");
                async move {
                    // The gallery belongs to somebody else; the ledger says what it was told.
                    let key = format!("gallery/{}", job.thumbnail);
                    context.once(&key, async || publish(&list, &job.thumbnail)).await
                }
            }
        });
    let drained = async {
        let idle = async || {
            let (resize, publish) = (kyu.counts::<Resize>().await, kyu.counts::<Publish>().await);
            matches!((resize, publish), (Ok((0, 0, 0)), Ok((0, 0, 0))))
        };
        while !idle().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    worker.run_until(drained).await
}

fn resize(store: &Store, job: &Resize) -> Result<String, JobError> {
    let bytes = std::fs::read(store.path(&job.picture))?;
    if crc32c(&bytes) != job.crc32c {
        return Err(JobError::dead("the picture is not the one that was handed in"));
    }
    let header = bytes.len() - WIDTH * HEIGHT * 3;
    let pixels = &bytes[header..];
    let (width, height) = (WIDTH / SHRINK, HEIGHT / SHRINK);
    let mut small = format!("P6 {width} {height} 255\n").into_bytes();
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let sum: usize = (0..SHRINK * SHRINK)
                    .map(|i| (y * SHRINK + i / SHRINK) * WIDTH + x * SHRINK + i % SHRINK)
                    .map(|pixel| usize::from(pixels[pixel * 3 + channel]))
                    .sum();
                small.push((sum / (SHRINK * SHRINK)) as u8);
            }
        }
    }
    let thumbnail = job.picture.replace("picture", "thumbnail");
    store.put(&thumbnail, &small)?;
    Ok(thumbnail)
}

fn publish(list: &Path, thumbnail: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut list = std::fs::OpenOptions::new().create(true).append(true).open(list)?;
    // One write, so that lines of handlers at the same time do not run into each other.
    list.write_all(format!("{thumbnail}\n").as_bytes())?;
    list.sync_all()
}

fn gallery(list: &Path) -> BTreeSet<String> {
    let list = std::fs::read_to_string(list).unwrap_or_default();
    list.lines().map(str::to_owned).collect()
}

/// A picture in PPM: a colour gradient.
fn draw(number: u32) -> Vec<u8> {
    let mut picture = format!("P6 {WIDTH} {HEIGHT} 255\n").into_bytes();
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            picture.extend([x as u8, y as u8, (number * 20) as u8]);
        }
    }
    picture
}

/// CRC-32C, bit by bit: the example needs no crate for it.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
        crc
    })
}
