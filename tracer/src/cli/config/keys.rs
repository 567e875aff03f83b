//! What a file or the environment says, as arguments of the command line: keys are the
//! long options' names, and clap's definition of them is the only one.

use std::{borrow::Cow, collections::BTreeMap};

use clap::{Arg, ArgAction, Command, error::ErrorKind};
use toml::de::{DeTable, DeValue};

use super::{ConfigError, file::Text};

/// What no file can say: which files to read.
const CONFIG: &str = "config";
/// How near a key has to be to be what was meant.
const NEAR: f64 = 0.7;
/// Most values of a key: clap takes long over more.
const MOST: usize = 4096;
/// Names of variables of the environment begin so.
const PREFIX: &str = "TRACER_";

/// The options, by the name of their keys.
pub struct Keys {
    command: Command,
}

/// What was given for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Arguments of the command line that say the same.
    pub args: Vec<String>,
    /// The values alone.
    pub values: Vec<String>,
    /// Where it is said.
    pub at: String,
}

/// Keys with what was given for each.
pub type Layer = BTreeMap<String, Given>;

/// How many values a key has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Switch,
    /// A number: how often the option is given.
    Count,
    /// One.
    One,
    /// Any number.
    List,
}

impl Keys {
    /// Those of a command.
    pub fn new(command: Command) -> Self {
        Self { command }
    }

    /// Every key with its option.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arg)> {
        let named = |arg| Some((Arg::get_long(arg)?, arg));
        self.command.get_arguments().filter_map(named).filter(|(name, _)| *name != CONFIG)
    }

    /// A key's option.
    pub fn option(&self, key: &str) -> Option<&Arg> {
        self.all().find(|(name, _)| *name == key).map(|(_, arg)| arg)
    }

    /// The options that one can't be given together with, whichever of them says so.
    pub fn conflicts<'a>(&'a self, arg: &'a Arg) -> impl Iterator<Item = &'a Arg> {
        let says = |one: &Arg, other: &Arg| {
            self.command
                .get_arg_conflicts_with(one)
                .iter()
                .any(|arg| arg.get_id() == other.get_id())
        };
        self.command.get_arguments().filter(move |other| says(arg, other) || says(other, arg))
    }

    /// What a file says.
    pub fn of_file(&self, file: &Text) -> Result<Layer, ConfigError> {
        let Text { path, text } = file;
        let at = |offset: usize| {
            let before = text.get(..offset).unwrap_or_default();
            format!("{}:{}", path.display(), before.matches('\n').count() + 1)
        };
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            ConfigError::new(at(offset), error.message().replace('\n', ", "))
        })?;
        let mut layer = Layer::new();
        for (key, value) in table.get_ref() {
            let place = at(key.span().start);
            let fail = |message: String| ConfigError::new(format!("{place}: {key}"), message);
            let key = key.get_ref().as_ref();
            let Some(arg) = self.option(key) else { return Err(fail(self.unknown(key))) };
            let values = values(value.get_ref(), shape(arg)).map_err(fail)?;
            layer.insert(key.to_owned(), self.given(key, values, &place)?);
        }
        Ok(layer)
    }

    /// What the environment says. A variable may have several values, one on each line,
    /// where its option may; one that is empty says nothing.
    pub fn of_environment(
        &self,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<Layer, ConfigError> {
        let mut layer = Layer::new();
        for (key, arg) in self.all() {
            let name = variable_of(key);
            let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
            let fail = |message: &str| ConfigError::new(&name, message);
            let text = text.into_string().map_err(|_| fail("not in UTF-8"))?;
            let values = match shape(arg) {
                Shape::List => text.lines().map(str::to_owned).collect(),
                Shape::One => vec![text],
                Shape::Switch => match text.as_str() {
                    "true" | "1" => vec!["true".to_owned()],
                    "false" | "0" => Vec::new(),
                    _ => return Err(fail("takes true or false")),
                },
                Shape::Count => {
                    let count = text.parse().map_err(|_| fail("takes a number"))?;
                    counted(count).map_err(|message| fail(&message))?
                }
            };
            layer.insert(key.to_owned(), self.given(key, values, &name)?);
        }
        Ok(layer)
    }

    /// Values as arguments, which clap takes each by itself.
    fn given(&self, key: &str, values: Vec<String>, at: &str) -> Result<Given, ConfigError> {
        let plain = self.option(key).is_some_and(|arg| !arg.get_action().takes_values());
        let option = |value: &String| {
            if plain { format!("--{key}") } else { format!("--{key}={value}") }
        };
        let args: Vec<_> = values.iter().map(option).collect();
        let tried = self.command.clone().try_get_matches_from(
            [self.command.get_name()].into_iter().chain(args.iter().map(String::as_str)),
        );
        match tried {
            // What it needs or excludes is seen once all is known.
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict
                ) => {}
            Err(error) => {
                return Err(ConfigError::new(format!("{at}: {key}"), brief(&error)));
            }
        }
        Ok(Given { args, values, at: at.to_owned() })
    }

    fn unknown(&self, key: &str) -> String {
        if key == CONFIG {
            return "a file can't name others; those of conf.d beside it are read too".to_owned();
        }
        let near = |(name, _)| (strsim::jaro_winkler(&key.replace('_', "-"), name), name);
        match self.all().map(near).max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((score, name)) if score > NEAR => {
                format!("no such key; did you mean {name}?")
            }
            _ => "no such key; keys are the long options of `tracer --help`".to_owned(),
        }
    }
}

/// The variable for a key.
pub fn variable_of(key: &str) -> String {
    PREFIX.to_owned() + &key.replace('-', "_").to_uppercase()
}

/// How many values an option has.
pub fn shape(arg: &Arg) -> Shape {
    match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => Shape::Switch,
        ArgAction::Count => Shape::Count,
        ArgAction::Append => Shape::List,
        _ => Shape::One,
    }
}

/// The values that are given for an option.
fn values(value: &DeValue<'_>, shape: Shape) -> Result<Vec<String>, String> {
    match (shape, value) {
        (Shape::Switch, DeValue::Boolean(true)) => Ok(vec!["true".to_owned()]),
        (Shape::Switch, DeValue::Boolean(false)) => Ok(Vec::new()),
        (Shape::Switch, _) => Err(format!("takes true or false, not {}", kind(value))),
        (Shape::Count, DeValue::Integer(_)) => {
            let count = scalar(value)?.parse().map_err(|_| "takes a number".to_owned())?;
            counted(count)
        }
        (Shape::Count, _) => Err(format!("takes a number, not {}", kind(value))),
        (Shape::List, DeValue::Array(items)) if items.len() > MOST => {
            Err(format!("takes {MOST} values at most"))
        }
        (Shape::List, DeValue::Array(items)) => {
            items.iter().map(|item| scalar(item.get_ref())).collect()
        }
        (Shape::List | Shape::One, _) => scalar(value).map(|value| vec![value]),
    }
}

/// The option, so many times.
fn counted(count: u8) -> Result<Vec<String>, String> {
    if count > 9 {
        return Err("takes a number up to 9".to_owned());
    }
    Ok(vec![String::new(); usize::from(count)])
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.contains('\0') => Err("holds a NUL".to_owned()),
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "a number out of range".to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        _ => Err(format!("takes a text or a number, not {}", kind(value))),
    }
}

fn kind(value: &DeValue<'_>) -> Cow<'static, str> {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}").into()
}

/// clap's message on one line.
pub fn brief(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().map(str::trim).take_while(|line| {
        !line.starts_with("For more information") && !line.starts_with("Usage:")
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
