//! Roles at a service.

use super::{MESSAGE, check, message, ready, wrong};
use triveni::{ErrorKind, Result, Segment};

pub fn call(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let service = segment.open_service(object)?;
    let mut answer = vec![0; service.response_size()];
    ready();
    for seq in 0..n {
        let request = message(seq);
        let size = if seq % 2 == 0 {
            service.call(&request, &mut answer)?
        } else {
            let mut room = service.reserve(MESSAGE)?;
            room.write(0, &request)?;
            let call = room.send(request.len())?;
            call.wait()?;
            call.read(&mut answer)?
        };
        check(seq, &answer[..size])?;
    }
    service.shutdown();
    Ok(())
}

pub fn serve(segment: &Segment, object: &str, n: u64) -> Result<()> {
    let service = segment.open_service(object)?;
    ready();
    let mut seq = 0;
    loop {
        let mut request = match service.receive() {
            Err(error) if error.kind() == ErrorKind::Closed => break,
            request => request?,
        };
        let bytes = request.to_vec()?;
        check(seq, &bytes)?;
        let answered = if seq % 2 == 0 {
            request.reply(&bytes)?
        } else {
            request.write(0, &bytes)?;
            request.commit(bytes.len())?
        };
        if !answered {
            return Err(wrong("the client has given up"));
        }
        seq += 1;
    }
    if seq != n {
        return Err(wrong(&format!("{seq} calls, not {n}")));
    }
    println!("ok {n}");
    Ok(())
}
