//! Values of the two types as PostgreSQL stores them, read in place.
//!
//! | bytes | coopvec | coopquery |
//! |---|---|---|
//! | 0..4 | varlena length | varlena length |
//! | 4 | format version | format version |
//! | 5 | 0 | 0 |
//! | 6..8 | K | K |
//! | 8..10 | n | n |
//! | 10..12 | 0 | 0 |
//! | 12..16 | model fingerprint | model fingerprint |
//! | 16.. | K·n half-precision numbers | constant (8 bytes), K weights, the active targets (4 bytes each) |

use crate::error::{Error, Kind};
use crate::pg::ereport::{raise, OrReport};
use crate::space::{Embedding, EmbeddingRef, Layout, Query, QueryRef};
use half::f16;
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::UnboxDatum;
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::impl_sql_translatable;
use pgrx::prelude::*;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The format version in each value. A later format gets the next number, and both are read.
const FORMAT: u8 = 1;

#[repr(C)]
struct Header {
    vl_len: u32,
    format: u8,
    reserved: u8,
    subspaces: u16,
    subspace_dim: u16,
    reserved2: u16,
    fingerprint: u32,
}

const HEADER: usize = size_of::<Header>();
const CONSTANT: usize = size_of::<f64>();

impl Header {
    /// K, n and fingerprint. `type_name` is for the error message.
    fn layout(&self, type_name: &str) -> Layout {
        if self.format != FORMAT {
            raise(
                Error::new(
                    Kind::Unsupported,
                    format!("{type_name} format version {} is not supported", self.format),
                )
                .detail(format!("This version of coopembed reads format {FORMAT}."))
                .hint("Update the extension's library."),
            );
        }
        Layout::new(self.subspaces.into(), self.subspace_dim.into(), self.fingerprint).or_report()
    }
}

/// A detoasted varlena with our header: borrowed where it lies, and freed on drop only if detoasting copied it.
struct Varlena<'a> {
    header: NonNull<Header>,
    owned: bool,
    lifetime: PhantomData<&'a ()>,
}

impl Varlena<'_> {
    /// # Safety
    /// `datum` must be a non-null varlena of one of our two types, valid for as long as the result is used.
    #[inline]
    unsafe fn from_datum(datum: pg_sys::Datum, type_name: &str) -> Self {
        let original = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: the caller promises a varlena. One that is neither short, compressed nor out of line needs no call into PostgreSQL.
        let flat = unsafe {
            if pgrx::varlena::varatt_is_4b_u(original) {
                original
            } else {
                pg_sys::pg_detoast_datum(original)
            }
        };
        // SAFETY: `flat` is a detoasted varlena, which begins with a length word of 4 bytes.
        let size = unsafe { pgrx::varlena::varsize_4b(flat) };
        let Some(header) = NonNull::new(flat.cast::<Header>()).filter(|_| size >= HEADER) else {
            raise(Error::new(Kind::Internal, format!("{type_name} of {size} bytes is corrupt")))
        };
        Self { header, owned: flat != original, lifetime: PhantomData }
    }

    /// A new value of `body` bytes after the header, zeroed, in the current memory context.
    fn alloc(layout: Layout, body: usize) -> Self {
        let size = HEADER + body;
        // SAFETY: palloc0 returns `size` zeroed bytes, maximally aligned, or raises an error.
        unsafe {
            let p = pg_sys::palloc0(size).cast::<Header>();
            pgrx::set_varsize_4b(p.cast(), size as i32);
            (*p).format = FORMAT;
            (*p).subspaces = layout.subspaces() as u16;
            (*p).subspace_dim = layout.subspace_dim() as u16;
            (*p).fingerprint = layout.fingerprint();
            Self { header: NonNull::new_unchecked(p), owned: false, lifetime: PhantomData }
        }
    }

    #[inline]
    fn layout(&self, type_name: &str) -> Layout {
        // SAFETY: `header` points at HEADER readable bytes.
        unsafe { self.header.as_ref() }.layout(type_name)
    }

    /// The bytes after the header.
    #[inline]
    fn body(&self) -> (*mut u8, usize) {
        // SAFETY: `header` starts a flat varlena of at least HEADER bytes.
        unsafe {
            let p = self.header.as_ptr();
            (p.add(1).cast(), pgrx::varlena::varsize_4b(p.cast()) - HEADER)
        }
    }

    fn into_datum(self) -> pg_sys::Datum {
        let datum = pg_sys::Datum::from(self.header.as_ptr());
        std::mem::forget(self);
        datum
    }
}

impl Drop for Varlena<'_> {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: detoasting allocated this copy, and nothing else refers to it.
            unsafe { pg_sys::pfree(self.header.as_ptr().cast()) }
        }
    }
}

/// `coopvec`: an [`Embedding`] as stored.
pub struct CoopVec<'a>(Varlena<'a>);

/// `coopquery`: a [`Query`] as stored.
pub struct CoopQuery<'a>(Varlena<'a>);

impl CoopVec<'_> {
    /// # Safety
    /// `datum` must be a non-null coopvec, valid for as long as the result is used.
    #[inline]
    pub unsafe fn from_raw(datum: pg_sys::Datum) -> Self {
        // SAFETY: the caller promises a coopvec.
        Self(unsafe { Varlena::from_datum(datum, "coopvec") })
    }

    /// Copies an embedding into the current memory context.
    pub fn new(e: EmbeddingRef<'_>) -> CoopVec<'static> {
        let v = Varlena::alloc(e.layout, size_of_val(e.values));
        // SAFETY: the body was allocated with room for exactly these numbers, and does not overlap them.
        unsafe { std::ptr::copy_nonoverlapping(e.values.as_ptr(), v.body().0.cast::<f16>(), e.values.len()) };
        CoopVec(v)
    }

    /// The embedding in place.
    #[inline]
    pub fn view(&self) -> EmbeddingRef<'_> {
        let layout = self.0.layout("coopvec");
        let (body, bytes) = self.0.body();
        if bytes != layout.dimensions() * size_of::<f16>() {
            raise(Error::new(Kind::Internal, format!("coopvec of model {layout} is corrupt: {bytes} bytes")));
        }
        // SAFETY: the body holds K·n numbers, as was checked; the type is aligned to 4 bytes, and they need 2.
        let values = unsafe { std::slice::from_raw_parts(body.cast::<f16>(), layout.dimensions()) };
        EmbeddingRef { layout, values }
    }
}

impl CoopQuery<'_> {
    /// # Safety
    /// `datum` must be a non-null coopquery, valid for as long as the result is used.
    #[inline]
    pub unsafe fn from_raw(datum: pg_sys::Datum) -> Self {
        // SAFETY: the caller promises a coopquery.
        Self(unsafe { Varlena::from_datum(datum, "coopquery") })
    }

    /// Copies a query into the current memory context.
    pub fn new(q: QueryRef<'_>) -> CoopQuery<'static> {
        let v = Varlena::alloc(q.layout, CONSTANT + size_of_val(q.weights) + size_of_val(q.targets));
        let (body, _) = v.body();
        // SAFETY: the body was allocated with room for the constant, the weights and the targets; palloc aligns to 8.
        unsafe {
            body.cast::<f64>().write(q.constant);
            let numbers = body.add(CONSTANT).cast::<f32>();
            std::ptr::copy_nonoverlapping(q.weights.as_ptr(), numbers, q.weights.len());
            std::ptr::copy_nonoverlapping(q.targets.as_ptr(), numbers.add(q.weights.len()), q.targets.len());
        }
        CoopQuery(v)
    }

    /// The query in place.
    #[inline]
    pub fn view(&self) -> QueryRef<'_> {
        let layout = self.0.layout("coopquery");
        let corrupt = |bytes| -> ! {
            raise(Error::new(
                Kind::Internal,
                format!("coopquery of model {layout} is corrupt: {bytes} bytes"),
            ))
        };
        let (body, bytes) = self.0.body();
        let k = layout.subspaces();
        if bytes < CONSTANT + k * size_of::<f32>() {
            corrupt(bytes);
        }
        let count = (bytes - CONSTANT) / size_of::<f32>();
        // SAFETY: the body holds the constant and `count` >= K numbers, as was checked; the type is aligned to 8 bytes.
        let (constant, numbers) = unsafe {
            let numbers = body.add(CONSTANT).cast::<f32>();
            (body.cast::<f64>().read(), std::slice::from_raw_parts(numbers, count))
        };
        let (weights, targets) = numbers.split_at(k);
        let active = weights.iter().filter(|w| **w > 0.0).count();
        if targets.len() != active * layout.subspace_dim() {
            corrupt(bytes);
        }
        QueryRef { layout, constant, weights, targets }
    }
}

impl From<Embedding> for CoopVec<'static> {
    fn from(e: Embedding) -> Self {
        Self::new(e.as_ref())
    }
}

impl From<Query> for CoopQuery<'static> {
    fn from(q: Query) -> Self {
        Self::new(q.as_ref())
    }
}

macro_rules! as_postgres_type {
    ($name:ident, $sql:literal) => {
        impl FromDatum for $name<'_> {
            unsafe fn from_polymorphic_datum(
                datum: pg_sys::Datum,
                null: bool,
                _: pg_sys::Oid,
            ) -> Option<Self> {
                // SAFETY: PostgreSQL passes a datum of the declared type.
                (!null).then(|| unsafe { Self::from_raw(datum) })
            }
        }

        impl IntoDatum for $name<'_> {
            fn into_datum(self) -> Option<pg_sys::Datum> {
                Some(self.0.into_datum())
            }

            fn type_oid() -> pg_sys::Oid {
                pgrx::wrappers::regtypein($sql)
            }
        }

        // SAFETY: arguments of this SQL type are varlenas that `from_raw` reads.
        unsafe impl<'fcx> ArgAbi<'fcx> for $name<'fcx> {
            unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
                let index = arg.index();
                // SAFETY: pgrx calls this for an argument of the declared type.
                match unsafe { arg.unbox_arg_using_from_datum() } {
                    Some(value) => value,
                    None => raise(Error::new(Kind::Internal, format!("argument {index} must not be null"))),
                }
            }
        }

        // SAFETY: the datum returned is a varlena of this SQL type.
        unsafe impl BoxRet for $name<'_> {
            unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
                // SAFETY: the value was allocated in the memory context of the call, where PostgreSQL expects a result.
                unsafe { fcinfo.return_raw_datum(self.0.into_datum()) }
            }
        }

        impl_sql_translatable!($name<'_>, $sql);
    };
}

/// Lets functions take arrays of the type.
macro_rules! as_array_element {
    ($name:ident) => {
        // SAFETY: elements of an array of this type are varlenas that `from_raw` reads, and live as long as the array.
        unsafe impl UnboxDatum for $name<'_> {
            type As<'src>
                = $name<'src>
            where
                Self: 'src;

            unsafe fn unbox<'src>(datum: pgrx::datum::Datum<'src>) -> $name<'src>
            where
                Self: 'src,
            {
                // SAFETY: pgrx passes an element of an array of this type, which lives as long as the result.
                unsafe { Self::from_raw(datum.sans_lifetime()) }
            }
        }
    };
}

as_array_element!(CoopVec);
as_array_element!(CoopQuery);
as_postgres_type!(CoopVec, "coopvec");
as_postgres_type!(CoopQuery, "coopquery");
