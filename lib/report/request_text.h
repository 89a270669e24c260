#pragma once

#include <string>

#include "simulate/case.h"

// A request in words: for people, and as the curl command that sends it.
namespace meshproof {

// "GET orders.shop:80/api  from shop/web  to orders.shop:80".
std::string QuestionText(const Case& question);

// The curl command that sends the request, quoted for a POSIX shell. Where the request goes to a
// pod whose address nobody states, the command says $POD_IP; a token of which only the claims are
// known is $TOKEN, an identity is a certificate in client.pem and client.key.
std::string CurlText(const Case& question);

}  // namespace meshproof
