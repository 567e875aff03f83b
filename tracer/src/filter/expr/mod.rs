//! `--filter EXPR`: a condition on any field of the event. `docs/FILTER.md` is its
//! description.
//!
//! ```text
//! text ─► parse ─► ast ─► check (fields and types) ─► Condition ─► holds(event)
//! ```
//! All that can be wrong with an expression is found before anything is attached.

pub mod ast;
mod check;
mod error;
mod eval;
pub mod field;
mod literal;
mod net;
pub mod parse;
mod rows;
mod words;

#[cfg(test)]
mod tests;

pub use error::{ExprError, Problem};
pub use eval::{Condition, Order, Side, Test, Wanted};
pub use net::Net;

use crate::event::Event;
use ast::Expr;

/// A part of an expression that must hold by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Conjunct {
    /// As it is written.
    pub text: String,
    /// What it means.
    pub condition: Condition,
}

/// An expression whose fields and types are known to fit: parts that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression(pub Vec<Conjunct>);

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(text: &str) -> Result<Self, ExprError> {
        let fail = |problem| ExprError { text: text.to_owned(), problem };
        let expr = parse::parse(text).map_err(fail)?;
        let mut conjuncts = Vec::new();
        divide(&expr, &mut conjuncts).map_err(fail)?;
        Ok(Self(conjuncts))
    }

    /// Whether it holds for an event.
    pub fn holds(&self, event: &Event) -> bool {
        self.0.iter().all(|conjunct| conjunct.condition.holds(event))
    }
}

fn divide(expr: &Expr, conjuncts: &mut Vec<Conjunct>) -> Result<(), Problem> {
    if let Expr::And(terms) = expr {
        return terms.iter().try_for_each(|term| divide(term, conjuncts));
    }
    conjuncts.push(Conjunct { text: expr.to_string(), condition: check::check(expr)? });
    Ok(())
}
