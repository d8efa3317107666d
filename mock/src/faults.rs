//! Chooses the errors of a route, and gives them the form of an answer.

use crate::endpoint::Answer;
use crate::random::Generator;
use crate::spec::{Fault, FaultKind, Protocol};

/// Length of the bytes that are no answer.
const RANDOM_BYTES: usize = 128;

/// The errors of a route.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Each with the sum of its rate and of those before it.
    list: Vec<(f64, Fault)>,
}

impl Faults {
    /// The errors that are written.
    pub fn new(faults: &[Fault]) -> Self {
        let mut sum = 0.0;
        let list = faults.iter().map(|fault| {
            sum += fault.rate;
            (sum, fault.clone())
        });
        Self { list: list.collect() }
    }

    /// The index of the error for a number that is uniform in [0, 1); `None` for the usual answer.
    pub fn choose(&self, uniform: f64) -> Option<usize> {
        self.list.iter().position(|(sum, _)| uniform < *sum)
    }

    /// The answer of an error.
    pub fn answer(
        &self,
        index: usize,
        protocol: Protocol,
        random: &Generator,
    ) -> Option<(FaultKind, Answer)> {
        let (_, fault) = self.list.get(index)?;
        let answer = match fault.kind {
            FaultKind::Status | FaultKind::Error => error(fault, protocol),
            FaultKind::EmptyResponse => Answer::EmptyResponse,
            FaultKind::RandomDataThenClose => Answer::RandomDataThenClose(random.bytes(RANDOM_BYTES).into()),
            FaultKind::ConnectionResetByPeer => Answer::Reset,
            FaultKind::Timeout => Answer::Never,
        };
        Some((fault.kind, answer))
    }
}

fn error(fault: &Fault, protocol: Protocol) -> Answer {
    let (status, code) = match protocol {
        Protocol::Http => (Some(500), None),
        // INTERNAL.
        Protocol::Grpc => (Some(13), None),
        Protocol::Redis => (None, Some("ERR")),
        // internal_error, in Appendix A of the manual of PostgreSQL.
        Protocol::Postgres => (None, Some("XX000")),
        Protocol::Tcp => (None, None),
    };
    Answer::Error {
        status: fault.status.or(status),
        code: fault.code.clone().or(code.map(str::to_owned)),
        message: fault
            .message
            .clone()
            .unwrap_or_else(|| "error of a mock".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(rate: f64, kind: FaultKind) -> Fault {
        Fault {
            rate,
            kind,
            status: None,
            code: None,
            message: None,
        }
    }

    #[test]
    fn each_error_has_its_share() {
        let faults = Faults::new(&[
            fault(0.1, FaultKind::Status),
            fault(0.0, FaultKind::Timeout),
            fault(0.2, FaultKind::EmptyResponse),
        ]);
        for (uniform, index) in [
            (0.0, Some(0)),
            (0.099, Some(0)),
            (0.1, Some(2)),
            (0.299, Some(2)),
            (0.31, None),
            (0.999, None),
        ] {
            assert_eq!(faults.choose(uniform), index, "{uniform}");
        }
        assert_eq!(Faults::new(&[]).choose(0.0), None);
        assert_eq!(
            Faults::new(&[fault(1.0, FaultKind::Timeout)]).choose(0.999_999),
            Some(0)
        );
    }

    #[test]
    fn an_error_has_the_usual_code_of_its_protocol() {
        let random = Generator::new(1);
        let faults = Faults::new(&[fault(1.0, FaultKind::Error)]);
        for (protocol, status, code) in [
            (Protocol::Http, Some(500), None),
            (Protocol::Grpc, Some(13), None),
            (Protocol::Redis, None, Some("ERR")),
            (Protocol::Postgres, None, Some("XX000")),
        ] {
            let expected = Answer::Error {
                status,
                code: code.map(str::to_owned),
                message: "error of a mock".to_owned(),
            };
            let answer = faults.answer(0, protocol, &random);
            assert_eq!(answer, Some((FaultKind::Error, expected)), "{protocol:?}");
        }
        assert_eq!(faults.answer(1, Protocol::Http, &random), None);
    }

    #[test]
    fn random_data_is_random() {
        let random = Generator::new(1);
        let faults = Faults::new(&[fault(1.0, FaultKind::RandomDataThenClose)]);
        let data = || match faults.answer(0, Protocol::Tcp, &random) {
            Some((_, Answer::RandomDataThenClose(bytes))) => bytes,
            other => panic!("{other:?}"),
        };
        let (first, second) = (data(), data());
        assert_eq!(first.len(), RANDOM_BYTES);
        assert_ne!(first, second);
    }
}
