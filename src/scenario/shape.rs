//! The shape of the scenario file as data: one definition for the reader, the JSON Schema and the
//! reference page.

use crate::base::diag::did_you_mean;

/// What a field takes.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number, at least this.
    Integer(i64),
    /// A number, at least zero.
    Number,
    /// Any text.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A duration as Go writes it.
    Duration,
    /// A duration or a distribution of durations.
    Delay,
    /// A quantity as Kubernetes writes it.
    Quantity,
    /// A quantity or a percentage.
    QuantityOrPercent,
    /// A number, or a comparison such as `">= 3"`.
    Count,
    /// The same with decimals: `1.5`, `"<= 1.25"`.
    Amount,
    /// A label selector as kubectl writes it.
    Selector,
    /// A time as RFC 3339 writes it.
    Time,
    /// A Kubernetes version.
    Version,
    /// Texts by name; `null` takes a name away where that makes sense.
    TextMap,
    /// Quantities by resource.
    QuantityMap,
    /// Whole numbers by name.
    IntegerMap,
    /// Something by name.
    MapOf(&'static Type),
    /// A list.
    List(&'static Type),
    /// A mapping with these fields.
    Shape(&'static Shape),
    /// One of several forms.
    OneOf(&'static [Type]),
    /// Anything.
    Json,
    /// Components with their flags.
    Settings,
    /// Latencies by name.
    Latencies,
    /// Causes by their stable name.
    Cause,
}

/// A field of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: Type,
    /// Whether it must be there.
    pub required: bool,
    /// What holds if it is not, in words.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// A mapping with known fields.
#[derive(Debug)]
pub struct Shape {
    /// Its name in the schema and the reference.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its fields, in groups that shapes share.
    pub fields: &'static [&'static [Field]],
}

impl Shape {
    /// All fields in order.
    pub fn all(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().flat_map(|group| group.iter())
    }

    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.all().find(|f| f.name == name)
    }

    /// The field that was probably meant by `name`.
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        did_you_mean(name, self.all().map(|f| f.name))
    }
}

/// A field that must be there.
pub const fn required(name: &'static str, takes: Type, doc: &'static str) -> Field {
    Field { name, takes, required: true, default: "", doc }
}

/// A field that may be left out, without a default worth words.
pub const fn optional(name: &'static str, takes: Type, doc: &'static str) -> Field {
    Field { name, takes, required: false, default: "", doc }
}

/// A field that may be left out.
pub const fn defaulted(name: &'static str, takes: Type, default: &'static str, doc: &'static str) -> Field {
    Field { name, takes, required: false, default, doc }
}
