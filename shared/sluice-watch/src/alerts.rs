//! From findings to messages: incidents, who is reported of them, and what each channel is sent.
//!
//! [`Board`] is all state there is. Each round takes the findings and what people have said, and answers with the messages
//! that bring every channel up to what is true. A message that was not delivered is due again in the next round.

mod board;
mod causes;
mod content;
mod incident;
pub mod render;
mod table;
#[cfg(test)]
mod tests;

pub use board::{Alert, Board, Command, Message, Receipt, Round, Sent};
pub use causes::Upstream;
pub use content::{Action, Content, Line, Phase};
use incident::short_id;
pub use incident::{Incident, Says, State};
pub use table::{Channel, ChannelKind, FILE, Fault, Maintenance, Route, Severity, Table};
