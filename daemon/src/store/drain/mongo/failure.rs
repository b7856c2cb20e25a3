//! What an error of the driver means for the drain.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use super::super::sink::Failure;
use super::DUPLICATE;
use crate::store::mongodb::{Trouble, trouble};

/// Codes of members that are not, or no longer, the primary, or are going away; of interrupted
/// commands and broken connections between servers.
const PASSES: [i32; 14] =
    [6, 7, 50, 89, 91, 133, 189, 9_001, 10_058, 10_107, 11_600, 11_602, 13_435, 13_436];
/// Codes about the bytes that were sent.
const ABOUT_WHAT_WAS_SENT: [i32; 4] = [22, 10_334, 17_419, 17_420];

/// Reads an error.
pub(super) fn failure(error: &Error) -> Failure {
    match &*error.kind {
        ErrorKind::Command(command) if ABOUT_WHAT_WAS_SENT.contains(&command.code) => {
            Failure::Malformed(command.message.clone())
        }
        ErrorKind::Command(command) if !PASSES.contains(&command.code) => match trouble(error) {
            Trouble::TookTooLong => Failure::Away(Trouble::TookTooLong.to_string()),
            refused => Failure::Refused(refused.to_string()),
        },
        ErrorKind::InvalidArgument { message, .. } => Failure::Malformed(message.clone()),
        _ => match trouble(error) {
            Trouble::Refused(message) => Failure::Refused(message),
            away => Failure::Away(away.to_string()),
        },
    }
}

/// Whether an insert failed because the key is there.
pub(super) fn is_duplicate(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code == DUPLICATE,
        ErrorKind::Command(command) => command.code == DUPLICATE,
        _ => false,
    }
}
