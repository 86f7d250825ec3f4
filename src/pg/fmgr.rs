//! Functions called straight by PostgreSQL's function manager, without pgrx's argument machinery, for what runs once a row.

use pgrx::pg_sys;

/// Exports `fn name(call)` under the C symbol `name`, version-1 calling convention; `sql/*.sql` declares it.
///
/// Rust panics and our errors become `ereport(ERROR)`. The body receives the [`Call`].
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

/// One call of a function that [`fmgr_functions`] exports.
#[derive(Clone, Copy)]
pub struct Call(pub pg_sys::FunctionCallInfo);

impl Call {
    /// Argument `i`, whether null or not.
    ///
    /// # Safety
    /// The function must be declared with more than `i` arguments.
    #[inline]
    pub unsafe fn arg(self, i: usize) -> pg_sys::Datum {
        // SAFETY: PostgreSQL passes as many arguments as the declaration has.
        unsafe { (*(*self.0).args.as_ptr().add(i)).value }
    }

    /// Argument `i`, or `None` if it is null.
    ///
    /// # Safety
    /// As [`Call::arg`].
    #[inline]
    pub unsafe fn nullable_arg(self, i: usize) -> Option<pg_sys::Datum> {
        // SAFETY: as above.
        let arg = unsafe { &*(*self.0).args.as_ptr().add(i) };
        (!arg.isnull).then_some(arg.value)
    }

    /// Returns SQL's NULL.
    pub fn null(self) -> pg_sys::Datum {
        // SAFETY: PostgreSQL owns the call's record and reads it when the function returns.
        unsafe { (*self.0).isnull = true };
        pg_sys::Datum::null()
    }
}
