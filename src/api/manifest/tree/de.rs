//! Trees to Rust types, with the place of every mistake.
//!
//! A serde deserializer over [`Tree`] that knows the path of each value. It reports what the types
//! do not know (*unknown fields*) with the names they do know, and carries on after a type error
//! by taking the offending value for `null`, so that all of them are reported at once.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};

use super::{Key, Tree, Value};
use crate::base::{Quantity, Span};

mod probe;
mod words;

use words::Fault;

/// Type errors after which the rest of a tree is not looked at.
const TYPE_ERRORS_MAX: usize = 50;

/// A field that the type does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// The field with its parents: `spec.template.spec.containers[0].imge`.
    pub path: String,
    /// The field's own name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// The names that the type does have.
    pub candidates: &'static [&'static str],
}

/// A value that is not of the type that its field has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// The field with its parents; empty for the whole value.
    pub path: String,
    /// Where the value stands.
    pub span: Span,
    /// What is wrong, as a sentence.
    pub message: String,
}

/// Whose words type errors are told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// Our own: `expected a string, found a number`.
    Plain,
    /// The API server's: `json: cannot unmarshal number into Go struct field …`.
    Kubernetes,
}

/// A value of type `T` from a tree, and the fields that `T` does not have; type errors in plain words.
///
/// # Errors
/// The first type error.
pub fn from_tree<T: DeserializeOwned>(tree: &Tree) -> Result<(T, Vec<UnknownField>), TypeError> {
    let context = Context { words: Words::Plain, nulled: RefCell::default(), unknown: RefCell::default() };
    let value = attempt(tree, &context)?;
    Ok((value, context.unknown.into_inner()))
}

/// Everything that can be said of a tree as a `T`: the value, the fields that `T` does not have, and
/// all type errors. With type errors the value, if there is one, lacks the offending parts.
pub fn from_tree_all<T: DeserializeOwned>(
    tree: &Tree,
    words: Words,
) -> (Option<T>, Vec<UnknownField>, Vec<TypeError>) {
    let context = Context { words, nulled: RefCell::default(), unknown: RefCell::default() };
    let mut errors: Vec<TypeError> = Vec::new();
    loop {
        context.unknown.borrow_mut().clear();
        let nulled = context.nulled.borrow().len();
        match attempt(tree, &context) {
            Ok(value) => return (Some(value), context.unknown.into_inner(), errors),
            Err(error) => {
                // A parent that misses what has just been taken out is no mistake of its own.
                let echo = errors.iter().any(|e| e.path.starts_with(&error.path) && e.path != error.path);
                let stuck = errors.iter().any(|e| e.path == error.path && e.span == error.span);
                if !echo && !stuck {
                    errors.push(error);
                }
                let more = context.nulled.borrow().len() > nulled;
                if echo || stuck || !more || errors.len() >= TYPE_ERRORS_MAX {
                    return (None, context.unknown.into_inner(), errors);
                }
            }
        }
    }
}

fn attempt<T: DeserializeOwned>(tree: &Tree, context: &Context) -> Result<T, TypeError> {
    let node = Node { tree, key: None, path: &Path::Root, context, quantity: false };
    T::deserialize(node).map_err(|fault| fault.placed(&node).into_type_error())
}

/// What all nodes of one reading share.
struct Context {
    words: Words,
    /// Addresses of the values that are taken for `null`.
    nulled: RefCell<Vec<usize>>,
    unknown: RefCell<Vec<UnknownField>>,
}

/// The way from the root to a value.
#[derive(Clone, Copy)]
enum Path<'p> {
    Root,
    /// A field of a struct.
    Field(&'p Path<'p>, Struct, &'p str),
    /// An entry of a map.
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(parent, _, name) | Path::Key(parent, name) => {
                if name.contains(['.', '/']) {
                    write!(f, "{parent}[{name}]")
                } else if matches!(parent, Path::Root) {
                    f.write_str(name)
                } else {
                    write!(f, "{parent}.{name}")
                }
            }
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// One value on its way to a type.
#[derive(Clone, Copy)]
struct Node<'de, 'p> {
    tree: &'de Tree,
    key: Option<&'de Key>,
    path: &'p Path<'p>,
    context: &'p Context,
    quantity: bool,
}

impl<'de> Node<'de, '_> {
    fn address(&self) -> usize {
        std::ptr::from_ref(self.tree) as usize
    }

    fn value(&self) -> &'de Value {
        if self.context.nulled.borrow().contains(&self.address()) { &Value::Null } else { &self.tree.value }
    }

    /// Where to point: the value, or its key if it is long or was left out.
    fn place(&self) -> Span {
        let span = self.tree.span;
        let own = !matches!(self.tree.value, Value::Map(_) | Value::Seq(_)) && span.start < span.end;
        match self.key {
            Some(key) if !own => key.span,
            Some(_) => span,
            None => self.tree.head_span(),
        }
    }

    /// An integer of a type of `bits` bits, or the fault in Go's words.
    fn integer(&self, min: i128, max: i128, go_type: &str) -> Result<i128, Fault> {
        let value = match self.value() {
            Value::Null => 0,
            Value::Int(value) => i128::from(*value),
            Value::UInt(value) => i128::from(*value),
            Value::Float(value) => return Err(Fault::mismatch(self, &format!("number {value}"), go_type)),
            Value::Bool(_) | Value::Str(_) | Value::Seq(_) | Value::Map(_) => {
                return Err(Fault::mismatch(self, self.tree.kind_name(), go_type));
            }
        };
        if value < min || value > max {
            return Err(Fault::mismatch(self, &format!("number {value}"), go_type));
        }
        Ok(value)
    }

    fn text(&self) -> Result<std::borrow::Cow<'de, str>, Fault> {
        use std::borrow::Cow;
        let text = match self.value() {
            Value::Str(text) => Cow::Borrowed(text.as_str()),
            Value::Null => Cow::Borrowed(if self.quantity { "0" } else { "" }),
            Value::Int(value) if self.quantity => Cow::Owned(value.to_string()),
            Value::UInt(value) if self.quantity => Cow::Owned(value.to_string()),
            Value::Float(value) if self.quantity => Cow::Owned(value.to_string()),
            _ if self.quantity => return Err(Fault::Said(words::NOT_A_QUANTITY.to_owned())),
            _ => return Err(Fault::mismatch(self, self.tree.kind_name(), "string")),
        };
        if self.quantity && Quantity::parse(&text).is_err() {
            return Err(Fault::Said(words::NOT_A_QUANTITY.to_owned()));
        }
        Ok(text)
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty, $go:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            let value = self.integer(i128::from(<$type>::MIN), i128::from(<$type>::MAX), $go)?;
            // The range was checked above.
            visitor.$visit(<$type>::try_from(value).unwrap_or_default()).map_err(|f: Fault| f.placed(&self))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Node<'de, '_> {
    type Error = Fault;

    integers! {
        deserialize_i8 visit_i8 i8, "int8";
        deserialize_i16 visit_i16 i16, "int16";
        deserialize_i32 visit_i32 i32, "int32";
        deserialize_i64 visit_i64 i64, "int64";
        deserialize_u8 visit_u8 u8, "uint8";
        deserialize_u16 visit_u16 u16, "uint16";
        deserialize_u32 visit_u32 u32, "uint32";
        deserialize_u64 visit_u64 u64, "uint64";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.quantity {
            return self.deserialize_str(visitor);
        }
        let result = match self.value() {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::UInt(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Str(text) => visitor.visit_borrowed_str(text),
            Value::Seq(elements) => visitor.visit_seq(Elements { node: self, elements, at: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { node: self, entries, at: 0, of: None }),
        };
        result.map_err(|f| f.placed(&self))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value() {
            Value::Null => visitor.visit_bool(false),
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(Fault::mismatch(&self, self.tree.kind_name(), "bool")),
        }
        .map_err(|f: Fault| f.placed(&self))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value() {
            Value::Null => visitor.visit_f64(0.0),
            // upstream: float64
            Value::Int(value) => visitor.visit_f64(*value as f64),
            Value::UInt(value) => visitor.visit_f64(*value as f64),
            Value::Float(value) => visitor.visit_f64(*value),
            _ => Err(Fault::mismatch(&self, self.tree.kind_name(), "float64")),
        }
        .map_err(|f: Fault| f.placed(&self))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.text() {
            Ok(std::borrow::Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Ok(std::borrow::Cow::Owned(text)) => visitor.visit_string(text),
            Err(fault) => Err(fault),
        }
        .map_err(|f: Fault| f.placed(&self))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value() {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
        .map_err(|f: Fault| f.placed(&self))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value() {
            Value::Null => visitor.visit_unit(),
            _ => Err(Fault::mismatch(&self, self.tree.kind_name(), "null")),
        }
        .map_err(|f: Fault| f.placed(&self))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let node = Node { quantity: name == "Quantity", ..self };
        visitor.visit_newtype_struct(node).map_err(|f| words::of_newtype(name, &self, f).placed(&self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value() {
            Value::Null => visitor.visit_seq(Elements { node: self, elements: &[], at: 0 }),
            Value::Seq(elements) => visitor.visit_seq(Elements { node: self, elements, at: 0 }),
            _ => Err(Fault::mismatch(&self, self.tree.kind_name(), &probe::of_seq(visitor))),
        }
        .map_err(|f: Fault| f.placed(&self))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value() {
            Value::Null => visitor.visit_map(Entries { node: self, entries: &[], at: 0, of: None }),
            Value::Map(entries) => visitor.visit_map(Entries { node: self, entries, at: 0, of: None }),
            _ => Err(Fault::mismatch(&self, self.tree.kind_name(), &probe::of_map(visitor))),
        }
        .map_err(|f: Fault| f.placed(&self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let of = Some(Struct { name, fields });
        match self.value() {
            Value::Null => visitor.visit_map(Entries { node: self, entries: &[], at: 0, of }),
            Value::Map(entries) => visitor.visit_map(Entries { node: self, entries, at: 0, of }),
            _ => Err(Fault::mismatch(&self, self.tree.kind_name(), &probe::struct_name(name))),
        }
        .map_err(|f: Fault| f.placed(&self))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let variant = match self.value() {
            Value::Str(text) => Variant { node: self, name: text, content: None },
            Value::Map(entries) => match &entries[..] {
                [(key, tree)] => {
                    Variant { node: Node { key: Some(key), ..self }, name: &key.text, content: Some(tree) }
                }
                _ => return Err(Fault::Said(words::one_of(variants)).placed(&self)),
            },
            _ => return Err(Fault::mismatch(&self, self.tree.kind_name(), name)),
        };
        visitor.visit_enum(variant).map_err(|f: Fault| f.placed(&self))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        // What a struct's visitor ignores is a field that the struct does not have.
        let candidates = if let Path::Field(_, of, _) = self.path { of.fields } else { &[] };
        if let Some(key) = self.key {
            self.context.unknown.borrow_mut().push(UnknownField {
                path: self.path.to_string(),
                name: key.text.clone(),
                span: key.span,
                candidates,
            });
        }
        visitor.visit_unit()
    }
}

/// The elements of a sequence.
struct Elements<'de, 'p> {
    node: Node<'de, 'p>,
    elements: &'de [Tree],
    at: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(tree) = self.elements.get(self.at) else { return Ok(None) };
        let path = Path::Index(self.node.path, self.at);
        self.at += 1;
        let node = Node { tree, key: None, path: &path, context: self.node.context, quantity: false };
        seed.deserialize(node).map(Some).map_err(|f| f.placed(&node))
    }

    fn size_hint(&self) -> Option<usize> {
        // Bounded, so that a long sequence does not reserve memory before its elements are read.
        Some((self.elements.len() - self.at).min(1024))
    }
}

/// The struct that a mapping is read as.
#[derive(Clone, Copy)]
struct Struct {
    name: &'static str,
    fields: &'static [&'static str],
}

/// The entries of a mapping.
struct Entries<'de, 'p> {
    node: Node<'de, 'p>,
    entries: &'de [(Key, Tree)],
    at: usize,
    of: Option<Struct>,
}

impl<'de> de::MapAccess<'de> for Entries<'de, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some((key, tree)) = self.entries.get(self.at) else { return Ok(None) };
        let path = Path::Key(self.node.path, &key.text);
        let node = Node { tree, key: Some(key), path: &path, context: self.node.context, quantity: false };
        let text = de::value::BorrowedStrDeserializer::<Fault>::new(&key.text);
        seed.deserialize(text).map(Some).map_err(|f| f.placed_at_key(&node))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some((key, tree)) = self.entries.get(self.at) else {
            return Err(Fault::Said("a value was asked for that is not there".to_owned()));
        };
        self.at += 1;
        let path = match self.of {
            Some(of) => Path::Field(self.node.path, of, &key.text),
            None => Path::Key(self.node.path, &key.text),
        };
        let node = Node { tree, key: Some(key), path: &path, context: self.node.context, quantity: false };
        seed.deserialize(node).map_err(|f| f.placed(&node))
    }
}

/// A variant of an enum: a word, or the one entry of a mapping.
struct Variant<'de, 'p> {
    node: Node<'de, 'p>,
    name: &'de str,
    content: Option<&'de Tree>,
}

impl<'de, 'p> de::EnumAccess<'de> for Variant<'de, 'p> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let text = de::value::BorrowedStrDeserializer::<Fault>::new(self.name);
        let value = seed.deserialize(text).map_err(|f| f.placed_at_key(&self.node))?;
        Ok((value, self))
    }
}

impl<'de> Variant<'de, '_> {
    fn inside<R>(&self, read: impl FnOnce(Node<'de, '_>) -> Result<R, Fault>) -> Result<R, Fault> {
        let path = Path::Key(self.node.path, self.name);
        match self.content {
            Some(tree) => read(Node { tree, path: &path, ..self.node }),
            None => Err(Fault::Said(format!("`{}` needs a value", self.name)).placed(&self.node)),
        }
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de, '_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None => Ok(()),
            Some(_) => self.inside(|node| de::Deserialize::deserialize(node)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.inside(|node| seed.deserialize(node).map_err(|f| f.placed(&node)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.inside(|node| de::Deserializer::deserialize_seq(node, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.inside(|node| de::Deserializer::deserialize_struct(node, "", fields, visitor))
    }
}
