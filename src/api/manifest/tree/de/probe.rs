//! Which type a visitor would have read, asked without a value: for the words of a type error.

use std::cell::RefCell;

use serde::de::{self, DeserializeSeed, Visitor};

use super::Fault;

/// Go's name of the sequence type that `visitor` reads: `[]v1.Container`.
pub(super) fn of_seq<'de, V: Visitor<'de>>(visitor: V) -> String {
    let name = RefCell::new(String::new());
    let _ = visitor.visit_seq(Probe(&name));
    format!("[]{}", or_any(name.into_inner()))
}

/// Go's name of the map type that `visitor` reads: `map[string]string`.
pub(super) fn of_map<'de, V: Visitor<'de>>(visitor: V) -> String {
    let name = RefCell::new(String::new());
    let _ = visitor.visit_map(Probe(&name));
    format!("map[string]{}", or_any(name.into_inner()))
}

/// Go's name of a struct of the API.
pub(super) fn struct_name(name: &str) -> String {
    format!("v1.{name}")
}

fn or_any(name: String) -> String {
    if name.is_empty() { "interface {}".to_owned() } else { name }
}

/// Answers every request with a refusal, and remembers what was asked for.
#[derive(Clone, Copy)]
struct Probe<'n>(&'n RefCell<String>);

impl Probe<'_> {
    fn refuse<T>(self, name: impl Into<String>) -> Result<T, Fault> {
        *self.0.borrow_mut() = name.into();
        Err(Fault::Said(String::new()))
    }
}

impl<'de> de::SeqAccess<'de> for Probe<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        seed.deserialize(*self).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for Probe<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        seed.deserialize(de::value::BorrowedStrDeserializer::new("")).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        seed.deserialize(*self)
    }
}

macro_rules! named {
    ($($method:ident $name:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
            self.refuse($name)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Probe<'_> {
    type Error = Fault;

    named! {
        deserialize_any "interface {}";
        deserialize_bool "bool";
        deserialize_i8 "int8";
        deserialize_i16 "int16";
        deserialize_i32 "int32";
        deserialize_i64 "int64";
        deserialize_u8 "uint8";
        deserialize_u16 "uint16";
        deserialize_u32 "uint32";
        deserialize_u64 "uint64";
        deserialize_f32 "float32";
        deserialize_f64 "float64";
        deserialize_char "string";
        deserialize_str "string";
        deserialize_string "string";
        deserialize_bytes "[]uint8";
        deserialize_byte_buf "[]uint8";
        deserialize_unit "interface {}";
        deserialize_identifier "string";
        deserialize_ignored_any "interface {}";
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, _: V) -> Result<V::Value, Fault> {
        self.refuse(struct_name(name))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: V,
    ) -> Result<V::Value, Fault> {
        self.refuse(if name == "Quantity" { "resource.Quantity".to_owned() } else { struct_name(name) })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.refuse(of_seq(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.refuse(of_seq(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Fault> {
        self.refuse(struct_name(name))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.refuse(of_map(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        self.refuse(struct_name(name))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        self.refuse(name)
    }
}
