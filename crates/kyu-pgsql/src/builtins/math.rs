//! Numbers.

use super::{BuiltinTable, float, int, text};
use crate::error::PgError;
use crate::types::Type;
use crate::types::cast::out_of_range;
use crate::types::decimal::Decimal;
use crate::types::text::fits;
use crate::types::value::Value;

pub(super) fn register(table: &mut BuiltinTable) {
    for ty in [Type::Int2, Type::Int4, Type::Int8] {
        let two = [ty, ty];
        table.add("+", &two, ty, |_, v, t| ints(t, int(v, 0).checked_add(int(v, 1))));
        table.add("-", &two, ty, |_, v, t| ints(t, int(v, 0).checked_sub(int(v, 1))));
        table.add("*", &two, ty, |_, v, t| ints(t, int(v, 0).checked_mul(int(v, 1))));
        table.add("/", &two, ty, |_, v, t| {
            if int(v, 1) == 0 { Err(by_zero()) } else { ints(t, int(v, 0).checked_div(int(v, 1))) }
        });
        for name in ["%", "mod"] {
            table.add(name, &two, ty, |_, v, _| {
                if int(v, 1) == 0 {
                    Err(by_zero())
                } else {
                    Ok(Value::Int(int(v, 0).wrapping_rem(int(v, 1))))
                }
            });
        }
        table.add("-", &[ty], ty, |_, v, t| ints(t, int(v, 0).checked_neg()));
        table.add("+", &[ty], ty, |_, v, _| Ok(Value::Int(int(v, 0))));
        for name in ["abs", "@"] {
            table.add(name, &[ty], ty, |_, v, t| ints(t, int(v, 0).checked_abs()));
        }
        table.add("&", &two, ty, |_, v, _| Ok(Value::Int(int(v, 0) & int(v, 1))));
        table.add("|", &two, ty, |_, v, _| Ok(Value::Int(int(v, 0) | int(v, 1))));
        table.add("#", &two, ty, |_, v, _| Ok(Value::Int(int(v, 0) ^ int(v, 1))));
        table.add("~", &[ty], ty, |_, v, _| Ok(Value::Int(!int(v, 0))));
        let shift = [ty, Type::Int4];
        table.add("<<", &shift, ty, |_, v, _| Ok(Value::Int(int(v, 0).wrapping_shl(shift_of(v)))));
        table.add(">>", &shift, ty, |_, v, _| Ok(Value::Int(int(v, 0).wrapping_shr(shift_of(v)))));
    }
    floats(table);
    numerics(table);
    rounding(table);
}

fn shift_of(values: &[Value]) -> u32 {
    u32::try_from(int(values, 1) & 63).unwrap_or(0)
}

fn ints(types: &[Type], value: Option<i64>) -> Result<Value, PgError> {
    let ty = types.first().copied().unwrap_or(Type::Int8);
    value.filter(|value| fits(ty, *value)).map(Value::Int).ok_or_else(|| out_of_range(ty))
}

fn by_zero() -> PgError {
    PgError::new("22012", "division by zero")
}

fn floats(table: &mut BuiltinTable) {
    let (one, two, ty) = ([Type::Float8], [Type::Float8; 2], Type::Float8);
    table.add("+", &two, ty, |_, v, _| Ok(Value::Float(float(v, 0) + float(v, 1))));
    table.add("-", &two, ty, |_, v, _| Ok(Value::Float(float(v, 0) - float(v, 1))));
    table.add("*", &two, ty, |_, v, _| Ok(Value::Float(float(v, 0) * float(v, 1))));
    table.add("/", &two, ty, |_, v, _| {
        if float(v, 1) == 0.0 {
            Err(by_zero())
        } else {
            Ok(Value::Float(float(v, 0) / float(v, 1)))
        }
    });
    table.add("-", &one, ty, |_, v, _| Ok(Value::Float(-float(v, 0))));
    table.add("abs", &one, ty, |_, v, _| Ok(Value::Float(float(v, 0).abs())));
    for name in ["^", "power", "pow"] {
        table.add(name, &two, ty, |_, v, _| Ok(Value::Float(float(v, 0).powf(float(v, 1)))));
    }
    table.add("sqrt", &one, ty, |_, v, _| {
        let root = float(v, 0);
        let message = "cannot take square root of a negative number";
        if root < 0.0 { Err(PgError::new("2201F", message)) } else { Ok(Value::Float(root.sqrt())) }
    });
    table.add("exp", &one, ty, |_, v, _| Ok(Value::Float(float(v, 0).exp())));
    table.add("ln", &one, ty, |_, v, _| {
        if float(v, 0) <= 0.0 {
            return Err(PgError::new("2201E", "cannot take logarithm of a negative number"));
        }
        Ok(Value::Float(float(v, 0).ln()))
    });
    table.add("sign", &one, ty, |_, v, _| {
        let value = float(v, 0);
        Ok(Value::Float(if value == 0.0 || value.is_nan() { value } else { value.signum() }))
    });
    table.add("floor", &one, ty, |_, v, _| Ok(Value::Float(float(v, 0).floor())));
    for name in ["ceil", "ceiling"] {
        table.add(name, &one, ty, |_, v, _| Ok(Value::Float(float(v, 0).ceil())));
    }
    table.add("round", &one, ty, |_, v, _| Ok(Value::Float(float(v, 0).round_ties_even())));
    table.add("trunc", &one, ty, |_, v, _| Ok(Value::Float(float(v, 0).trunc())));
}

fn decimal(values: &[Value], at: usize) -> Result<Decimal, PgError> {
    Decimal::parse(text(values, at))
}

fn numeric(value: Decimal) -> Result<Value, PgError> {
    Ok(Value::Numeric(value.to_text()))
}

fn numerics(table: &mut BuiltinTable) {
    let (one, two, ty) = ([Type::Numeric], [Type::Numeric; 2], Type::Numeric);
    table.add("+", &two, ty, |_, v, _| numeric(decimal(v, 0)?.add(decimal(v, 1)?)?));
    table.add("-", &two, ty, |_, v, _| numeric(decimal(v, 0)?.add(decimal(v, 1)?.negate())?));
    table.add("*", &two, ty, |_, v, _| numeric(decimal(v, 0)?.multiply(decimal(v, 1)?)?));
    table.add("/", &two, ty, |_, v, _| numeric(decimal(v, 0)?.divide(decimal(v, 1)?)?));
    for name in ["%", "mod"] {
        table.add(name, &two, ty, |_, v, _| numeric(decimal(v, 0)?.remainder(decimal(v, 1)?)?));
    }
    table.add("-", &one, ty, |_, v, _| numeric(decimal(v, 0)?.negate()));
    table.add("+", &one, ty, |_, v, _| numeric(decimal(v, 0)?));
    table.add("div", &two, ty, |_, v, _| {
        numeric(decimal(v, 0)?.divide(decimal(v, 1)?)?.truncated(0))
    });
    table.add("abs", &one, ty, |_, v, _| {
        Ok(Value::Numeric(text(v, 0).trim_start_matches('-').to_owned()))
    });
}

fn rounding(table: &mut BuiltinTable) {
    let (one, scaled, ty) = ([Type::Numeric], [Type::Numeric, Type::Int4], Type::Numeric);
    table.add("floor", &one, ty, |_, v, _| numeric(decimal(v, 0)?.floor()));
    for name in ["ceil", "ceiling"] {
        table.add(name, &one, ty, |_, v, _| numeric(decimal(v, 0)?.negate().floor().negate()));
    }
    table.add("round", &one, ty, |_, v, _| numeric(decimal(v, 0)?.rounded(0)));
    table.add("trunc", &one, ty, |_, v, _| numeric(decimal(v, 0)?.truncated(0)));
    table.add("round", &scaled, ty, |_, v, _| numeric(decimal(v, 0)?.rounded(scale(v))));
    table.add("trunc", &scaled, ty, |_, v, _| numeric(decimal(v, 0)?.truncated(scale(v))));
}

fn scale(values: &[Value]) -> u32 {
    u32::try_from(int(values, 1).clamp(0, 30)).unwrap_or(0)
}
