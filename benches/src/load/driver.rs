//! The event loop of a run.

use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::connection::Connection;
use super::{Next, Outcome, Pace, Plan, Recorder, Traffic};
use crate::Error;
use crate::process::Usage;

/// How long answers may take after the window closed before the run gives them up.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// Events taken from the kernel at once.
const MAX_EVENTS: usize = 256;
/// An answer up to this size arrives without a copy.
const SCRATCH_BYTES: usize = 256 * 1024;

/// Runs `traffic` as `plan` says and reports the measured window.
pub(crate) fn run(plan: &Plan, traffic: &mut impl Traffic) -> Result<Outcome, Error> {
    // The default slack of 50 us would show as latency of an open loop.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000))?;
    let mut driver = Driver::connect(plan, traffic)?;
    let mut events = Vec::with_capacity(MAX_EVENTS);
    driver.start_closed_loop()?;
    while driver.advance_phase() {
        driver.send_due()?;
        let timeout = driver.until_next_deadline();
        events.clear();
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&driver.epoll, spare, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let (flags, index) = (event.flags, event.data.u64() as usize);
            driver.handle(index, flags)?;
        }
        driver.wake_paused()?;
    }
    Ok(driver.into_outcome())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Window,
    Drain,
}

struct Driver<'a, T> {
    traffic: &'a mut T,
    plan: &'a Plan,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    recorder: Recorder,
    began: Instant,
    phase: Phase,
    phase_ends: u64,
    window_nanos: u64,
    /// Requests under way.
    in_flight: usize,
    /// Connections whose traffic said `Pause`.
    paused: Vec<usize>,
    /// Connections an open loop may use.
    idle: Vec<usize>,
    /// Requests an open loop has sent; the next is due at this number times the interval.
    issued: u64,
    unsent: u64,
    client_at_start: Usage,
    server_at_start: Option<Usage>,
    client: Usage,
    server: Option<Usage>,
}

impl<'a, T: Traffic> Driver<'a, T> {
    fn connect(plan: &'a Plan, traffic: &'a mut T) -> Result<Self, Error> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let connection = Connection::open(plan.target, |stream| traffic.greet(stream))?;
            epoll::add(&epoll, &connection, EventData::new_u64(index as u64), EventFlags::IN)?;
            connections.push(connection);
        }
        let recorder = Recorder::new(traffic.operations());
        Ok(Self {
            traffic,
            plan,
            epoll,
            connections,
            scratch: vec![0; SCRATCH_BYTES],
            recorder,
            began: Instant::now(),
            phase: Phase::WarmUp,
            phase_ends: plan.warm_up.as_nanos() as u64,
            window_nanos: 0,
            in_flight: 0,
            paused: Vec::new(),
            idle: Vec::new(),
            issued: 0,
            unsent: 0,
            client_at_start: Usage::default(),
            server_at_start: None,
            client: Usage::default(),
            server: None,
        })
    }

    fn start_closed_loop(&mut self) -> Result<(), Error> {
        // Usages must be read before the first request when there is no warm-up.
        self.advance_phase();
        match self.plan.pace {
            Pace::Closed => {
                (0..self.connections.len()).try_for_each(|index| self.issue(index, None))
            }
            Pace::Open { .. } => {
                self.idle = (0..self.connections.len()).collect();
                Ok(())
            }
        }
    }

    /// Moves to the phase the clock says; false when the run is over.
    fn advance_phase(&mut self) -> bool {
        self.recorder.now = self.began.elapsed().as_nanos() as u64;
        let now = self.recorder.now;
        if self.phase == Phase::WarmUp && now >= self.phase_ends {
            self.recorder.open_window();
            self.client_at_start = Usage::of_this_process();
            self.server_at_start = self.plan.server_pid.and_then(Usage::of_server);
            self.window_nanos = now;
            self.phase = Phase::Window;
            self.phase_ends = now + self.plan.window.as_nanos() as u64;
            return true;
        }
        let finished = self.issued > 0
            && self.plan.pace == Pace::Closed
            && self.in_flight == 0
            && self.paused.is_empty();
        if self.phase == Phase::Window && (now >= self.phase_ends || finished) {
            self.close_window();
        }
        self.phase != Phase::Drain
            || (self.in_flight > 0 || self.is_behind()) && now < self.phase_ends
    }

    fn close_window(&mut self) {
        let now = self.recorder.now;
        self.recorder.close_window();
        self.client = Usage::of_this_process().since(&self.client_at_start);
        let server = self.plan.server_pid.and_then(Usage::of_server);
        self.server = server.zip(self.server_at_start).map(|(now, then)| now.since(&then));
        self.window_nanos = now - self.window_nanos;
        self.phase = Phase::Drain;
        self.phase_ends = now + DRAIN_LIMIT.as_nanos() as u64;
    }

    /// When the next request of an open loop is due; `None` for a closed loop or after the window.
    fn next_due(&self) -> Option<u64> {
        let Pace::Open { requests_per_second } = self.plan.pace else { return None };
        let due = (self.issued as f64 * 1e9 / requests_per_second) as u64;
        // After the window, what was due inside it is still sent: it must be charged for its wait.
        let window_end = match self.phase {
            Phase::Drain => self.phase_ends - DRAIN_LIMIT.as_nanos() as u64,
            Phase::WarmUp | Phase::Window => u64::MAX,
        };
        (due < window_end).then_some(due)
    }

    fn is_behind(&self) -> bool {
        self.next_due().is_some()
    }

    fn send_due(&mut self) -> Result<(), Error> {
        while let Some(due) = self.next_due() {
            if due > self.began.elapsed().as_nanos() as u64 {
                break;
            }
            let Some(index) = self.idle.pop() else { break };
            self.issue(index, Some(due))?;
        }
        Ok(())
    }

    fn until_next_deadline(&self) -> Timespec {
        let now = self.began.elapsed().as_nanos() as u64;
        let due = self.next_due().filter(|_| !self.idle.is_empty());
        let deadline = due.unwrap_or(u64::MAX).min(self.phase_ends);
        let wait = Duration::from_nanos(deadline.saturating_sub(now));
        Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) }
    }

    /// Asks the traffic for the next request of a connection and begins to send it. Without `due`
    /// (closed loop) it is due now.
    fn issue(&mut self, index: usize, due: Option<u64>) -> Result<(), Error> {
        let Some(connection) = self.connections.get_mut(index) else { return Ok(()) };
        let now = self.began.elapsed().as_nanos() as u64;
        match self.traffic.next(index, now, &mut connection.request) {
            Next::Send => {}
            Next::Pause => {
                self.paused.push(index);
                return Ok(());
            }
            Next::Finish => return Ok(()),
        }
        self.issued += 1;
        self.in_flight += 1;
        if !connection.send(due.unwrap_or(now))? {
            connection.awaits_room = true;
            let both = EventFlags::IN | EventFlags::OUT;
            epoll::modify(&self.epoll, &*connection, EventData::new_u64(index as u64), both)?;
        }
        Ok(())
    }

    fn handle(&mut self, index: usize, flags: EventFlags) -> Result<(), Error> {
        let Self { connections, traffic, recorder, scratch, .. } = self;
        let Some(connection) = connections.get_mut(index) else { return Ok(()) };
        if connection.awaits_room && flags.contains(EventFlags::OUT) && connection.flush()? {
            connection.awaits_room = false;
            let data = EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, &*connection, data, EventFlags::IN)?;
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return Ok(());
        }
        let due = connection.due;
        let began = self.began;
        let whole = connection.receive(scratch, |received| {
            recorder.now = began.elapsed().as_nanos() as u64;
            let Some(answer) = traffic.parse(index, received, recorder)? else { return Ok(0) };
            recorder.record(answer.operation, due.unwrap_or(recorder.now));
            if answer.refused {
                recorder.refuse(received);
            }
            recorder.count(if answer.refused { 0 } else { answer.messages });
            Ok(answer.bytes)
        })?;
        if !whole {
            return Ok(());
        }
        connection.due = None;
        self.in_flight -= 1;
        match self.plan.pace {
            Pace::Closed if self.phase != Phase::Drain => self.issue(index, None),
            Pace::Closed => Ok(()),
            Pace::Open { .. } => {
                self.idle.push(index);
                self.send_due()
            }
        }
    }

    fn wake_paused(&mut self) -> Result<(), Error> {
        if self.phase == Phase::Drain {
            self.paused.clear();
        }
        for index in std::mem::take(&mut self.paused) {
            self.issue(index, None)?;
        }
        Ok(())
    }

    fn into_outcome(mut self) -> Outcome {
        // What never got its turn waited at least until now.
        while let Some(due) = self.next_due() {
            self.recorder.record(0, due);
            self.issued += 1;
            self.unsent += 1;
        }
        for due in self.connections.iter().filter_map(|connection| connection.due) {
            self.recorder.record(0, due);
        }
        Outcome {
            elapsed: Duration::from_nanos(self.window_nanos),
            requests: self.recorder.requests,
            messages: self.recorder.messages,
            refused: self.recorder.refused,
            first_refusal: self.recorder.first_refusal.take(),
            unsent: self.unsent,
            latencies: self.recorder.into_latencies(),
            client: self.client,
            server: self.server,
        }
    }
}
