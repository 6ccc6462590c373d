//! The snapshot blocks of exchanges: a block that begins one, its bindings, and the deduplication
//! ids that it remembers.

use std::io;
use std::sync::Arc;

use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{BindingInfo, ExchangeId, ExchangeInfo};

use crate::codec::{decode_name, encode_name};
use crate::exchange::record::{
    decode_binding, decode_binding_id, decode_exchange, encode_binding, encode_exchange,
};
use crate::exchange::store::Exchange;
use crate::machines::ExchangeBlock;
use crate::queue::snapshot::write_dedup;
use crate::snapshot::blocks::Blocks;

pub(crate) fn write(
    exchange: &Exchange,
    blocks: &mut Blocks<'_, impl io::Write>,
) -> io::Result<()> {
    blocks.write(ExchangeBlock::Exchange, |b| {
        b.varint(u64::from(exchange.info.id.0));
        encode_name(&exchange.info.name, b);
        encode_exchange(&exchange.info.config, b);
        b.varint(exchange.info.version);
        b.varint(exchange.info.created_at_ms);
        b.varint(exchange.removed_bindings);
        b.varint(exchange.next_seq);
    })?;
    // One block each: a binding's attributes may be long.
    for binding in exchange.bindings.values() {
        blocks.write(ExchangeBlock::Bindings, |b| {
            b.varint(binding.id.get());
            encode_binding(&binding.config, b);
            b.varint(binding.version);
            b.varint(binding.created_at_ms);
        })?;
    }
    write_dedup(ExchangeBlock::Dedup, &exchange.dedup, blocks)
}

/// Reads the block that begins an exchange.
pub(crate) fn load(r: &mut Reader) -> Result<Exchange, Malformed> {
    let info = Arc::new(ExchangeInfo {
        id: ExchangeId(r.varint32()?),
        name: decode_name(r)?,
        config: decode_exchange(r)?,
        version: r.varint()?,
        created_at_ms: r.varint()?,
    });
    let mut exchange = Exchange::new(info);
    exchange.removed_bindings = r.varint()?;
    exchange.next_seq = r.varint()?;
    Ok(exchange)
}

/// Reads a binding.
pub(crate) fn load_binding(exchange: &Exchange, r: &mut Reader) -> Result<BindingInfo, Malformed> {
    Ok(BindingInfo {
        id: decode_binding_id(r)?,
        exchange: exchange.info.name.clone(),
        config: decode_binding(r)?,
        version: r.varint()?,
        created_at_ms: r.varint()?,
    })
}
