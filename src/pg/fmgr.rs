//! Functions that PostgreSQL's function manager calls directly, without pgrx's conversion of arguments: for what runs once per row, and for
//! arguments of type `internal`.

use pgrx::pg_sys;

/// Exports `fn name(call)` under the C symbol `name`, in the version-1 calling convention. A file in `sql/current/` declares it.
///
/// The body receives the [`Call`]. Panics and errors of the body become `ereport(ERROR)`.
macro_rules! fmgr_functions {
    ($($(#[$meta:meta])* fn $name:ident($call:ident) $body:block)*) => {$(
        const _: () = {
            #[export_name = concat!("pg_finfo_", stringify!($name))]
            extern "C" fn info() -> &'static pgrx::pg_sys::Pg_finfo_record {
                const VERSION_1: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
                &VERSION_1
            }
        };

        $(#[$meta])*
        #[no_mangle]
        #[pgrx::pg_guard]
        unsafe extern "C-unwind" fn $name(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            let $call = $crate::pg::fmgr::Call(fcinfo);
            $body
        }
    )*};
}
pub(super) use fmgr_functions;

/// A call of a function that [`fmgr_functions`] exports: its arguments and its result.
#[derive(Clone, Copy)]
pub struct Call(pub pg_sys::FunctionCallInfo);

impl Call {
    /// Argument `i`, whether null or not.
    ///
    /// # Safety
    /// The function must be declared with more than `i` arguments.
    #[inline]
    pub unsafe fn arg(self, i: usize) -> pg_sys::Datum {
        // SAFETY: the caller promises more than `i` arguments, and PostgreSQL passes as many as the declaration has.
        unsafe { (*(*self.0).args.as_ptr().add(i)).value }
    }

    /// Argument `i`, or `None` if it is null.
    ///
    /// # Safety
    /// As [`Call::arg`].
    #[inline]
    pub unsafe fn nullable_arg(self, i: usize) -> Option<pg_sys::Datum> {
        // SAFETY: the caller promises more than `i` arguments, and PostgreSQL passes as many as the declaration has.
        let arg = unsafe { &*(*self.0).args.as_ptr().add(i) };
        (!arg.isnull).then_some(arg.value)
    }

    /// How many arguments were passed.
    pub fn count(self) -> i16 {
        // SAFETY: the call's record lives until the function has returned.
        unsafe { (*self.0).nargs }
    }

    /// Makes the result NULL.
    pub fn null(self) -> pg_sys::Datum {
        // SAFETY: the call's record lives until the function has returned; PostgreSQL reads the flag then.
        unsafe { (*self.0).isnull = true };
        pg_sys::Datum::null()
    }
}
