//! The board, ARM's MPS2 with a Cortex-M4 (application note 386): a UART, a clock, and a console by semihosting.

use core::{ffi::CStr, panic::PanicInfo, ptr};

use cortex_m_semihosting::{debug, syscall1};

use crate::failure::Failure;

/// A stream of bytes in each direction.
pub trait Channel {
    /// Reads what there is; `None` if that is nothing, 0 at the end or if there is no room.
    fn read(&mut self, room: &mut [u8]) -> Option<usize>;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure>;
}

/// A register of a peripheral.
#[derive(Clone, Copy)]
struct Register(*mut u32);

impl Register {
    const fn at(address: usize) -> Self {
        Self(ptr::without_provenance_mut(address))
    }

    fn read(self) -> u32 {
        // SAFETY: the constants below are the only registers, and each exists on this board.
        unsafe { self.0.read_volatile() }
    }

    fn write(self, value: u32) {
        // SAFETY: as in `read`; none of these registers makes the hardware access memory.
        unsafe { self.0.write_volatile(value) }
    }
}

const UART_DATA: Register = Register::at(0x4000_4000);
const UART_STATE: Register = Register::at(0x4000_4004);
const UART_CONTROL: Register = Register::at(0x4000_4008);
const UART_BAUD_DIVIDER: Register = Register::at(0x4000_4010);
const TRANSMITTER_FULL: u32 = 1 << 0;
const RECEIVER_FULL: u32 = 1 << 1;

const TIMER_CONTROL: Register = Register::at(0x4000_0000);
const TIMER_VALUE: Register = Register::at(0x4000_0004);
const TIMER_RELOAD: Register = Register::at(0x4000_0008);
const NANOS_PER_TICK: u64 = 40; // 25 MHz

/// The first UART, polled: it has room for one byte in each direction.
pub struct Uart(());

impl Uart {
    /// Switches on the UART and the clock.
    pub fn start() -> Self {
        UART_BAUD_DIVIDER.write(16); // the fastest
        UART_CONTROL.write(0b11); // both directions
        TIMER_RELOAD.write(u32::MAX);
        TIMER_VALUE.write(u32::MAX);
        TIMER_CONTROL.write(1);
        Self(())
    }
}

impl Channel for Uart {
    fn read(&mut self, room: &mut [u8]) -> Option<usize> {
        let mut len = 0;
        for byte in room {
            if UART_STATE.read() & RECEIVER_FULL == 0 {
                break;
            }
            [*byte, ..] = UART_DATA.read().to_le_bytes();
            len += 1;
        }
        (len > 0).then_some(len)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for byte in bytes {
            while UART_STATE.read() & TRANSMITTER_FULL != 0 {}
            UART_DATA.write(u32::from(*byte));
        }
        Ok(())
    }
}

/// Nanoseconds since the start, for 171 s: the timer counts 2³² ticks down, then begins again.
pub fn now_nanos() -> u64 {
    u64::from(u32::MAX - TIMER_VALUE.read()) * NANOS_PER_TICK
}

/// Prints on the console.
pub fn say(text: &CStr) {
    // SAFETY: SYS_WRITE0 reads up to the terminating NUL, which a `CStr` has.
    unsafe { syscall1!(WRITE0, text.as_ptr()) };
}

/// Prints in decimal.
pub fn say_number(number: u32) {
    if number >= 10 {
        say_number(number / 10);
    }
    let [digit, ..] = (number % 10).to_le_bytes();
    let text = [b'0' + digit, 0];
    // SAFETY: the text ends with a NUL.
    unsafe { syscall1!(WRITE0, text.as_ptr()) };
}

/// The most stack used so far, in bytes: cortex-m-rt has painted all of it at the start.
pub fn stack_used() -> u32 {
    const PAINT: u32 = 0xCCCC_CCCC;
    unsafe extern "C" {
        static _stack_start: u32; // its upper end
        static _stack_end: u32;
    }
    let (mut word, top) = (&raw const _stack_end, &raw const _stack_start);
    // SAFETY: the linker script puts both ends at multiples of four in RAM, and nobody writes to the part of the
    // stack below this function's own frame, where the first unpainted word is or before which it lies.
    while word < top && unsafe { word.read_volatile() } == PAINT {
        word = word.wrapping_add(1);
    }
    u32::try_from(top.addr() - word.addr()).unwrap_or(u32::MAX)
}

/// Ends the program that emulates the board.
pub fn exit(success: bool) -> ! {
    loop {
        debug::exit(if success { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    say(c"panicked\n");
    exit(false)
}
