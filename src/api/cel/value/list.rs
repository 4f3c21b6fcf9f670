//! Lists: of the input, made by an expression, or one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::super::decl::{Decl, ListType, Shape};
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::{Key, Value};

/// A list of the input or made.
#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    /// From the input.
    Json(JsonList<'a>),
    /// Made by the expression.
    Owned(Arc<Vec<Value<'a>>>),
    /// One list after the other, so that adding costs the same however long they are; with how many items both have.
    Joined(Arc<(List<'a>, List<'a>)>, usize),
}

/// A list of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonList<'a> {
    pub(super) items: &'a [Json],
    pub(super) decl: Option<&'a Decl>,
}

impl<'a> List<'a> {
    pub(in crate::cel) fn len(&self) -> usize {
        match self {
            Self::Json(list) => list.items.len(),
            Self::Owned(items) => items.len(),
            Self::Joined(_, length) => *length,
        }
    }

    pub(in crate::cel) fn item(&self, index: usize) -> Option<Outcome<'a>> {
        match self {
            Self::Json(list) => Some(Value::of(list.items.get(index)?, list.item_decl())),
            Self::Owned(items) => items.get(index).cloned().map(Ok),
            Self::Joined(both, _) => match index.checked_sub(both.0.len()) {
                Some(index) => both.1.item(index),
                None => both.0.item(index),
            },
        }
    }

    /// The items in order. Joined lists may share parts, so that all items may be many more than memory holds.
    pub(in crate::cel) fn iter(&self) -> Items<'_, 'a> {
        Items { parts: vec![self], index: 0 }
    }

    /// The JSON and its schema, if this is of the input.
    fn declared(&self) -> Option<(JsonList<'a>, &'a ListType)> {
        let Self::Json(list) = self else {
            return None;
        };
        match &list.decl?.shape {
            Shape::List(_, list_type) => Some((*list, list_type)),
            _ => None,
        }
    }

    pub(in crate::cel) fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Error> {
        if self.len() != other.len() {
            return Ok(false);
        }
        match self.declared() {
            Some((_, ListType::Set)) => {
                if let (Some(one), Some(two)) = (self.keys(meter)?, other.keys(meter)?) {
                    return Ok(one == two);
                }
            }
            Some((_, ListType::Map(names))) => return self.equals_by_keys(other, names, meter),
            _ => {}
        }
        for (one, two) in self.iter().zip(other.iter()) {
            if !one?.equals(&two?, meter)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// All items as keys, if all can be.
    fn keys(&self, meter: &mut Meter) -> Result<Option<BTreeSet<Key>>, Error> {
        let mut keys = BTreeSet::new();
        for item in self.iter() {
            meter.step()?;
            match item?.key() {
                Some(key) => keys.insert(key),
                None => return Ok(None),
            };
        }
        Ok(Some(keys))
    }

    fn by_names(&self, names: &[Box<str>], meter: &mut Meter) -> Result<BTreeMap<Vec<Option<Key>>, Value<'a>>, Error> {
        let mut items = BTreeMap::new();
        for item in self.iter() {
            meter.step()?;
            let item = item?;
            items.insert(item_key(&item, names)?, item);
        }
        Ok(items)
    }

    fn equals_by_keys(&self, other: &Self, names: &[Box<str>], meter: &mut Meter) -> Result<bool, Error> {
        let (one, two) = (self.by_names(names, meter)?, other.by_names(names, meter)?);
        for (key, value) in &one {
            match two.get(key) {
                Some(other) if value.equals(other, meter)? => {}
                _ => return Ok(false),
            }
        }
        Ok(one.len() == two.len())
    }

    /// Both lists as one. Of a set each item is kept once; in a list by keys the later item takes the earlier's place.
    pub(in crate::cel) fn join(self, other: Self, meter: &mut Meter) -> Result<Self, Error> {
        match self.declared() {
            Some((_, ListType::Set)) => {
                if let Some(mut keys) = self.keys(meter)? {
                    let mut items: Vec<_> = self.iter().collect::<Result<_, _>>()?;
                    for item in other.iter() {
                        meter.step()?;
                        let item = item?;
                        if item.key().is_none_or(|key| keys.insert(key)) {
                            items.push(item);
                        }
                    }
                    return Ok(Self::Owned(Arc::new(items)));
                }
            }
            Some((_, ListType::Map(names))) => {
                let mut items: Vec<_> = self.iter().collect::<Result<_, _>>()?;
                let mut places = BTreeMap::new();
                for (place, item) in items.iter().enumerate() {
                    meter.step()?;
                    places.insert(item_key(item, names)?, place);
                }
                for item in other.iter() {
                    meter.step()?;
                    let item = item?;
                    match places.get(&item_key(&item, names)?).and_then(|place| items.get_mut(*place)) {
                        Some(old) => *old = item,
                        None => items.push(item),
                    }
                }
                return Ok(Self::Owned(Arc::new(items)));
            }
            _ => {}
        }
        if self.len() == 0 {
            return Ok(other);
        }
        if other.len() == 0 {
            return Ok(self);
        }
        let length = self.len().saturating_add(other.len());
        Ok(Self::Joined(Arc::new((self, other)), length))
    }

    /// Whether an item equals the value; an item that cannot be compared matters only if none does.
    pub(in crate::cel) fn contains(&self, value: &Value<'a>, meter: &mut Meter) -> Result<bool, Error> {
        let mut failure = None;
        for item in self.iter() {
            match item.and_then(|item| item.equals(value, meter)) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(Error::OverBudget) => return Err(Error::OverBudget),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(false), Err)
    }
}

/// Walks over the items of a list.
pub(in crate::cel) struct Items<'l, 'a> {
    /// What is still to be walked over, the next part last.
    parts: Vec<&'l List<'a>>,
    index: usize,
}

impl<'a> Iterator for Items<'_, 'a> {
    type Item = Outcome<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.parts.pop()? {
                List::Joined(both, _) => self.parts.extend([&both.1, &both.0]),
                part => {
                    if let Some(item) = part.item(self.index) {
                        self.index += 1;
                        self.parts.push(part);
                        return Some(item);
                    }
                    self.index = 0;
                }
            }
        }
    }
}

/// The keys of an item of a list by keys.
fn item_key(item: &Value<'_>, names: &[Box<str>]) -> Result<Vec<Option<Key>>, Error> {
    let mut key = Vec::with_capacity(names.len());
    for name in names {
        let value = match item {
            Value::Map(map) => map.get_raw(name)?,
            _ => None,
        };
        key.push(value.and_then(|value| value.key()));
    }
    Ok(key)
}

impl<'a> JsonList<'a> {
    fn item_decl(&self) -> Option<&'a Decl> {
        self.decl.and_then(Decl::element).map(AsRef::as_ref)
    }
}
