//! System V keys in C: a plain `key_t`.

use crate::argument::{output, path};
use crate::boundary::call;
use std::ffi::{c_char, c_int};
use triveni::kernel::SysvKey;
use triveni::{Error, ErrorKind};

/// Makes the key (a `key_t`) of an existing file and a number from 1 to 255, as ftok(3) does, and stores it in `*key`.
/// Two files may have the same one. IPC_PRIVATE is a key without this call, and so is any number both sides know.
/// Lends `path`. Does not wait. Any thread; a forked child too.
/// @return 0; -ENOENT, -EACCES and so on for the file; -EINVAL for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_sysv_key(path: *const c_char, id: c_int, key: *mut c_int) -> c_int {
    call("tvn_sysv_key", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for the key.
        let (path, key) = unsafe { (self::path(path)?, output(key)?) };
        let id = u8::try_from(id).map_err(|_| {
            Error::new(ErrorKind::Invalid, format!("System V key of {path:?}: the number {id} is not from 1 to 255"))
        })?;
        key.write(SysvKey::ftok(path, id)?.number());
        Ok(())
    })
}
