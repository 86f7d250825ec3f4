//! Python's pickle format, as far as PyTorch's checkpoints use it. Values are read; nothing is ever executed.
//!
//! The files are not trusted. Values live in one arena and refer to each other by number, so that sharing
//! costs nothing, deep nesting cannot exhaust the stack, and memory stays in proportion to the length of the file.

use crate::error::{Error, Kind, Result};
use std::collections::HashMap;

/// Index of a value in the arena.
pub type Id = usize;

/// A pickled value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`, or anything that the tensors of a checkpoint do not depend on: floating-point numbers, sets.
    Opaque,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// A longer integer, little-endian.
    BigInt(Vec<u8>),
    /// A string.
    Text(String),
    /// A tuple or a list.
    Sequence(Vec<Id>),
    /// The entries of a dictionary, in the order of insertion.
    Dict(Vec<(Id, Id)>),
    /// A class or function, `module.name`.
    Global(String),
    /// The result of calling a global (first) with arguments (second). The call is not made.
    Call(Id, Id),
    /// A reference to something stored beside the pickle (a "persistent id").
    Persistent(Id),
}

/// All values of one pickle.
#[derive(Debug)]
pub struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads one pickle at the start of `bytes`; returns its length too.
    ///
    /// # Errors
    /// [`Kind::InvalidData`] for anything malformed, cut short, or of an operation that checkpoints do not use.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize)> {
        let mut machine = Machine {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while machine.step()? {}
        let root = machine.pop()?;
        Ok((Self { values: machine.values, root }, machine.at))
    }

    /// The pickled object itself.
    pub fn root(&self) -> Id {
        self.root
    }

    /// The value with an index.
    pub fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// All references to something stored beside the pickle.
    pub fn persistent(&self) -> impl Iterator<Item = Id> + '_ {
        (0..self.values.len()).filter(|id| matches!(self.values[*id], Value::Persistent(_)))
    }

    /// The text of a value, if it is text.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number of a value, if it is an integer that is not negative.
    pub fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The elements of a value, if it is a tuple or a list.
    pub fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Sequence(ids) => Some(ids),
            _ => None,
        }
    }

    /// The name of a global, if it is one.
    pub fn global(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Global(name) => Some(name),
            _ => None,
        }
    }

    /// Function and arguments of a value that a call would make.
    pub fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        match self.get(id) {
            Value::Call(function, arguments) => Some((self.global(*function)?, self.sequence(*arguments)?)),
            _ => None,
        }
    }

    /// The entries of a value, if it is a dictionary.
    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(entries) => Some(entries),
            _ => None,
        }
    }
}

/// The stack machine that a pickle is a program for.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl Machine<'_> {
    /// Runs one operation; returns false after the last. The codes are those of Python's `pickletools`.
    fn step(&mut self) -> Result<bool> {
        let at = self.at;
        let operation = self.take(1)?[0];
        match operation {
            b'.' => return Ok(false),
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.push_id(*self.stack.last().ok_or_else(|| malformed(at, "an empty stack"))?),
            b'N' => self.push(Value::Opaque),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a | 0x8b | b'G' => self.number(operation)?,
            b'X' | 0x8c | 0x8d | b'T' | b'U' | b'B' | b'C' | 0x8e => self.string(operation)?,
            b')' | b']' => self.push(Value::Sequence(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x8f => self.push(Value::Opaque),
            0x85..=0x87 => {
                let first = self.stack.len().checked_sub(usize::from(operation) - 0x84);
                let ids = self.stack.split_off(first.ok_or_else(|| malformed(at, "an empty stack"))?);
                self.push(Value::Sequence(ids));
            }
            b't' | b'l' => {
                let ids = self.pop_to_mark()?;
                self.push(Value::Sequence(ids));
            }
            b'd' => {
                let ids = self.pop_to_mark()?;
                self.push(Value::Dict(pairs(&ids)));
            }
            b'a' | b'e' | b's' | b'u' | 0x90 => self.extend(operation)?,
            b'c' | 0x93 | b'R' | 0x81 | 0x92 | b'b' | b'Q' => self.object(operation)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(operation)?,
            other => {
                return Err(malformed(at, &format!("operation 0x{other:02x}, which checkpoints do not use")))
            }
        }
        Ok(true)
    }

    fn number(&mut self, operation: u8) -> Result<()> {
        let value = match operation {
            b'K' => Value::Int(self.unsigned(1)? as i64),
            b'M' => Value::Int(self.unsigned(2)? as i64),
            b'J' => Value::Int(i64::from(self.unsigned(4)? as u32 as i32)),
            b'G' => {
                self.take(8)?;
                Value::Opaque
            }
            _ => {
                let length = self.unsigned(if operation == 0x8a { 1 } else { 4 })?;
                let bytes = self.take(length)?;
                if bytes.len() > 8 {
                    Value::BigInt(bytes.to_vec())
                } else {
                    let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
                    let mut wide = [sign; 8];
                    wide[..bytes.len()].copy_from_slice(bytes);
                    Value::Int(i64::from_le_bytes(wide))
                }
            }
        };
        self.push(value);
        Ok(())
    }

    fn string(&mut self, operation: u8) -> Result<()> {
        let length = self.unsigned(match operation {
            0x8c | b'U' | b'C' => 1,
            0x8d | 0x8e => 8,
            _ => 4,
        })?;
        let bytes = self.take(length)?;
        // Python 2's strings are bytes; names of tensors are ASCII in either.
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    /// Adds to the list, dictionary or set on the stack.
    fn extend(&mut self, operation: u8) -> Result<()> {
        let at = self.at;
        let ids = match operation {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let target = *self.stack.last().ok_or_else(|| malformed(at, "an empty stack"))?;
        match (&mut self.values[target], operation) {
            (Value::Sequence(list), b'a' | b'e') => list.extend(ids),
            (Value::Dict(entries), b's' | b'u') => entries.extend(pairs(&ids)),
            // An object of the user's own class, or a set: not needed.
            (Value::Call(..) | Value::Opaque, _) => {}
            _ => return Err(malformed(at, "elements for something that has none")),
        }
        Ok(())
    }

    /// Globals, calls, object state and persistent references.
    fn object(&mut self, operation: u8) -> Result<()> {
        let value = match operation {
            b'c' => {
                let module = self.line()?;
                Value::Global(format!("{module}.{}", self.line()?))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module], &self.values[name]) {
                    (Value::Text(module), Value::Text(name)) => Value::Global(format!("{module}.{name}")),
                    _ => return Err(malformed(self.at, "a global without a name")),
                }
            }
            b'Q' => Value::Persistent(self.pop()?),
            b'b' => {
                // The state of an object (such as the metadata of a state dict) is not needed.
                self.pop()?;
                return Ok(());
            }
            0x92 => {
                let (_keywords, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                Value::Call(class, arguments)
            }
            _ => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                match &self.values[function] {
                    Value::Global(name)
                        if matches!(name.as_str(), "collections.OrderedDict" | "collections.defaultdict") =>
                    {
                        Value::Dict(Vec::new())
                    }
                    _ => Value::Call(function, arguments),
                }
            }
        };
        self.push(value);
        Ok(())
    }

    fn remember(&mut self, operation: u8) -> Result<()> {
        let key = match operation {
            0x94 => self.memo.len(),
            b'q' | b'h' => self.unsigned(1)?,
            _ => self.unsigned(4)?,
        };
        if matches!(operation, b'h' | b'j') {
            let id =
                *self.memo.get(&key).ok_or_else(|| malformed(self.at, "a value that was never stored"))?;
            self.push_id(id);
        } else {
            let id = *self.stack.last().ok_or_else(|| malformed(self.at, "an empty stack"))?;
            self.memo.insert(key, id);
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| malformed(self.at, "the end of the file"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn unsigned(&mut self, length: usize) -> Result<usize> {
        let mut wide = [0; 8];
        wide[..length].copy_from_slice(self.take(length)?);
        // A length beyond the address space is beyond the end of the file, too.
        Ok(usize::try_from(u64::from_le_bytes(wide)).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|b| *b == b'\n');
        let length = length.ok_or_else(|| malformed(self.at, "the end of the file"))?;
        let line = String::from_utf8_lossy(&rest[..length]).trim_end_matches('\r').to_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn push(&mut self, value: Value) {
        self.values.push(value);
        self.push_id(self.values.len() - 1);
    }

    fn push_id(&mut self, id: Id) {
        self.stack.push(id);
    }

    fn pop(&mut self) -> Result<Id> {
        self.stack.pop().ok_or_else(|| malformed(self.at, "an empty stack"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let height = self.marks.pop().filter(|height| *height <= self.stack.len());
        Ok(self.stack.split_off(height.ok_or_else(|| malformed(self.at, "no mark"))?))
    }
}

fn pairs(ids: &[Id]) -> Vec<(Id, Id)> {
    ids.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn malformed(at: usize, found: &str) -> Error {
    Error::new(Kind::InvalidData, "the checkpoint's pickle cannot be read")
        .detail(format!("Found {found} at byte {at}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_values_are_read() {
        // pickle.dumps({"a": [1, -2, 70000, 2**80], "b": (True, None, "é")}, protocol=2), and protocol=4
        let second = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00\x8a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01eX\x01\x00\x00\x00bq\x03\x88NX\x02\x00\x00\x00\xc3\xa9q\x04\x87q\x05u.";
        let fourth = b"\x80\x04\x953\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00\x8a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01e\x8c\x01b\x94\x88N\x8c\x02\xc3\xa9\x94\x87\x94u.";
        for bytes in [second.as_slice(), fourth] {
            let (pickle, length) = Pickle::read(bytes).unwrap();
            assert_eq!(length, bytes.len());
            let dict = pickle.dict(pickle.root()).unwrap();
            assert_eq!((pickle.text(dict[0].0), pickle.text(dict[1].0)), (Some("a"), Some("b")));
            let list = pickle.sequence(dict[0].1).unwrap();
            assert_eq!(pickle.get(list[1]), &Value::Int(-2));
            assert_eq!(pickle.size(list[2]), Some(70_000));
            assert_eq!(pickle.get(list[3]), &Value::BigInt([[0; 10].as_slice(), &[1]].concat()));
            let tuple = pickle.sequence(dict[1].1).unwrap();
            assert_eq!(pickle.get(tuple[0]), &Value::Bool(true));
            assert_eq!(pickle.text(tuple[2]), Some("é"));
            for end in 0..bytes.len() {
                assert_eq!(Pickle::read(&bytes[..end]).unwrap_err().kind, Kind::InvalidData);
            }
        }
    }

    #[test]
    fn code_is_named_but_never_run() {
        // pickle.dumps of an object whose __reduce__ is (os.system, ("true",)), protocol 2
        let (pickle, _) =
            Pickle::read(b"\x80\x02cposix\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03.").unwrap();
        assert_eq!(pickle.call(pickle.root()).unwrap().0, "posix.system");
    }

    #[test]
    fn nesting_and_sharing_take_memory_in_proportion_to_the_file() {
        let nested = [vec![b')'], vec![0x85; 1_000_000], vec![b'.']].concat();
        assert_eq!(Pickle::read(&nested).unwrap().0.values.len(), 1_000_001);
        // x = (x, x), a thousand times: 2^1000 leaves.
        let doubled = [b")".to_vec(), b"2\x86".repeat(1000), b".".to_vec()].concat();
        assert_eq!(Pickle::read(&doubled).unwrap().0.values.len(), 1001);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = Pickle::read(&bytes);
        }

        #[test]
        fn no_operations_make_it_panic(operations in proptest::collection::vec(
            proptest::sample::select(b"(012NKMJGXTUBC)]}tldaesucRbQqrhj\x85\x86\x87\x81\x8a\x8c\x8f\x90\x92\x93\x94\x00\x01\n".to_vec()), 0..200))
        {
            let _ = Pickle::read(&[operations.as_slice(), b"."].concat());
        }
    }
}
